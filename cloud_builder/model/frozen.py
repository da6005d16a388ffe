"""Base classes of frozen values: strict for what people write, lenient for what programs send; cached JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A value that a person writes. An unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LenientModel(BaseModel):
    """A value that a program sends. An unknown key is ignored, so that older readers understand newer writers."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copies as pydantic does, in a fifth of the time: each change of a job is a copy.

        These values have no private or extra fields, and their frozen fields are shared."""
        if deep:
            return super().model_copy(update=update, deep=True)
        return self._of({**self.__dict__, **(update or {})})

    @classmethod
    def construct_unchecked(cls, **values: Any) -> Self:
        """Makes a value without validation, from fields of other validated values.

        Every field without a default must be given."""
        return cls._of({**_template(cls), **values})

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        instance = cls.__new__(cls)
        object.__setattr__(instance, "__dict__", values)
        object.__setattr__(instance, "__pydantic_fields_set__", _NO_FIELDS)
        object.__setattr__(instance, "__pydantic_extra__", None)
        object.__setattr__(instance, "__pydantic_private__", None)
        return instance


_NO_FIELDS: set[str] = set()
"""Shared by all values that were made without validation: nothing reads which of their fields were set."""


@cache
def _template(model: type[BaseModel]) -> dict[str, Any]:
    """Returns all fields in their order, with their defaults; None for a field that is required."""
    return {name: None if field.is_required() else field.default for name, field in model.model_fields.items()}


V = TypeVar("V", bound=LenientModel)


class CachedJson(Generic[V]):
    """A frozen value, and its JSON without defaults, which is made once, when it is first needed.

    `part`: a base class of the value's class; only the fields of this class are in the JSON."""

    __slots__ = ("_json", "_part", "value")

    def __init__(self, value: V, part: type[LenientModel] | None = None) -> None:
        self.value = value
        self._part = part
        self._json: str | None = None

    @classmethod
    def ready(cls, json: str) -> CachedJson[V]:
        """Wraps JSON that was read. It has no value."""
        cached = cls.__new__(cls)
        cached._json = json  # noqa: SLF001
        return cached

    @property
    def json(self) -> str:
        if self._json is None:
            model = self._part or type(self.value)
            self._json = model.__pydantic_serializer__.to_json(self.value, exclude_defaults=True).decode()
        return self._json


class CachedJsonList(CachedJson[V]):
    """Several frozen values in one document, as a list under the key `name`."""

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Sequence[V]) -> None:
        super().__init__(values[0])
        self._name, self._values = name, values

    @property
    def json(self) -> str:
        if self._json is None:
            self._json = f'{{"{self._name}":[{",".join(CachedJson(value).json for value in self._values)}]}}'
        return self._json
