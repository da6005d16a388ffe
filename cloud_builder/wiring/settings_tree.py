"""Settings as trees: merges them, walks their models, finds the line of a key. Without effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

Tree = dict[str, Any]


@dataclass(frozen=True)
class Origin:
    """A settings file and the line of each of its keys."""

    path: Path
    lines: Mapping[tuple[str, ...], int]

    def of(self, location: Sequence[str]) -> str:
        """Returns `file:line` of the deepest part of a key that the file contains; empty if there is none."""
        for depth in range(len(location), 0, -1):
            if line := self.lines.get(tuple(location[:depth])):
                return f"{self.path}:{line}"
        return ""


def merge(*trees: Mapping[str, Any]) -> Tree:
    """Merges trees key by key; later trees win."""
    result: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            old = result.get(key)
            result[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return result


def names_of(model: type[BaseModel]) -> list[str]:
    return list(model.model_fields)


def model_at(model: type[BaseModel], keys: Sequence[str]) -> type[BaseModel] | None:
    """Returns the model at a key path; None for plain values and for mappings with free keys."""
    for key in keys:
        field = model.model_fields.get(key)
        found = _model_in(field.annotation) if field else None
        if found is None:
            return None
        model = found
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType):
        return next((found for arg in get_args(annotation) if (found := _model_in(arg))), None)
    return None


def first_problem(error: ValidationError) -> tuple[list[str], str]:
    """Returns the key path and the cause of the first error."""
    problem = error.errors()[0]
    given = problem.get("input")
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool) else ""
    return [str(part) for part in problem["loc"]], f"{problem['msg']}{shown}"


def yaml_lines(text: str) -> dict[tuple[str, ...], int]:
    """Returns the line of each key of a YAML mapping, by key path."""
    lines: dict[tuple[str, ...], int] = {}
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is not None:
        _walk(node, (), lines)
    return lines


def _walk(node: yaml.Node, path: tuple[str, ...], lines: dict[tuple[str, ...], int]) -> None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            below = (*path, str(key.value))
            lines[below] = key.start_mark.line + 1
            _walk(value, below, lines)
