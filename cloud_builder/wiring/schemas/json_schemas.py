"""JSON Schemas of what travels (events) and of what people write (manifests, settings)."""

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
    """Where the schema of an event lies in `schemas/`."""
    return f"events/{event.type}-{event.version}.json"


def field_notes(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings below the fields of a model class, by field."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    assert isinstance(body, ast.ClassDef)
    notes = {}
    for field, note in zip(body.body, body.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(note, ast.Expr):
            notes[field.target.id] = inspect.cleandoc(str(ast.literal_eval(note.value)))
    return notes


class Annotated(GenerateJsonSchema):
    """Pydantic's schema, with the fields' docstrings as descriptions and without a title that repeats each name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        for model in reversed(schema["cls"].__mro__):
            if issubclass(model, BaseModel) and model is not BaseModel:
                for name, note in field_notes(model).items():
                    if name in result.get("properties", {}):
                        result["properties"][name].setdefault("description", note)
        return result


def schema_of(model: type[BaseModel], identity: str, title: str) -> dict[str, Any]:
    """The JSON Schema of a model. `identity` is its URI."""
    schema = model.model_json_schema(schema_generator=Annotated)
    return {"$schema": DIALECT, "$id": identity, **schema, "title": title}


def text_of(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def event_schema(event: type[Payload]) -> dict[str, Any]:
    return schema_of(event, f"urn:cloud-builder:event:{event.type}:{event.version}", event.type)


def settings_schema() -> dict[str, Any]:
    """As people write it: every setting has a default, also those that wiring finds out (home, cache)."""
    schema = schema_of(Settings, "urn:cloud-builder:settings", "Settings of Cloud Builder")
    schema.pop("required", None)
    return schema


def manifest_schema(model: type[Manifest], version: str) -> dict[str, Any]:
    """Of `.cb/cloud_builder.yml`. A unit has one kind, so exactly one of the target sections."""
    schema = schema_of(model, f"urn:cloud-builder:manifest:{version}", f"Cloud Builder manifest {version}")
    sections = [section for section in KIND_OF_SECTION if section in schema["properties"]]
    for section in sections:
        schema["properties"][section].pop("default", None)
    return {**schema, "oneOf": [{"required": [section]} for section in sections]}


def bodies() -> dict[str, str]:
    """Every JSON Schema, by its path in `schemas/`."""
    schemas = {event_file(route.event): event_schema(route.event) for route in ROUTES}
    schemas["settings.json"] = settings_schema()
    schemas["manifest-0.1.json"] = manifest_schema(Manifest01, "0.1")
    schemas["manifest-1.0.json"] = manifest_schema(Manifest10, "1.0")
    return {path: text_of(schema) for path, schema in sorted(schemas.items())}
