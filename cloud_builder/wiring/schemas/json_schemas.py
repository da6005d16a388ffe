"""Makes the JSON Schemas of events, manifests and settings, with the docstrings as descriptions."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from cloud_builder.model.events import Payload
from cloud_builder.model.manifest_schema import KIND_OF_SECTION, Manifest, Manifest01, Manifest10
from cloud_builder.model.settings import Settings
from cloud_builder.model.topics import ROUTES

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def event_file(event: type[Payload]) -> str:
    """Returns the path of an event's schema in `schemas/`."""
    return f"events/{event.type}-{event.version}.json"


def field_descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Returns the docstrings below the fields of a model class, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(note, ast.Expr):
            notes[field.target.id] = inspect.cleandoc(str(ast.literal_eval(note.value)))
    return notes


class DescribedSchema(GenerateJsonSchema):
    """Pydantic's schema with the docstrings of fields as descriptions, and without titles that repeat their names."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        for model in reversed(schema["cls"].__mro__):
            if issubclass(model, BaseModel) and model is not BaseModel:
                for name, note in field_descriptions(model).items():
                    if name in result.get("properties", {}):
                        result["properties"][name].setdefault("description", note)
        return result


def schema_of(model: type[BaseModel], identity: str, title: str) -> dict[str, Any]:
    """Returns the JSON Schema of a model. `identity`: its URI."""
    schema = model.model_json_schema(schema_generator=DescribedSchema)
    return {"$schema": DIALECT, "$id": identity, **schema, "title": title}


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def event_schema(event: type[Payload]) -> dict[str, Any]:
    return schema_of(event, f"urn:cloud-builder:event:{event.type}:{event.version}", event.type)


def settings_schema() -> dict[str, Any]:
    """Returns the schema of a settings file. No key is required: wiring has a default for home and cache, too."""
    schema = schema_of(Settings, "urn:cloud-builder:settings", "Settings of Cloud Builder")
    schema.pop("required", None)
    return schema


def manifest_schema(model: type[Manifest], version: str) -> dict[str, Any]:
    """Returns the schema of `.cb/cloud_builder.yml`. A unit has one kind, so exactly one section of targets."""
    schema = schema_of(model, f"urn:cloud-builder:manifest:{version}", f"Cloud Builder manifest {version}")
    sections = [section for section in KIND_OF_SECTION if section in schema["properties"]]
    for section in sections:
        schema["properties"][section].pop("default", None)
    return {**schema, "oneOf": [{"required": [section]} for section in sections]}


def bodies() -> dict[str, str]:
    """Returns every JSON Schema, by its path in `schemas/`."""
    schemas = {event_file(route.event): event_schema(route.event) for route in ROUTES}
    schemas["settings.json"] = settings_schema()
    schemas["manifest-0.1.json"] = manifest_schema(Manifest01, "0.1")
    schemas["manifest-1.0.json"] = manifest_schema(Manifest10, "1.0")
    return {path: text_of(schema) for path, schema in sorted(schemas.items())}
