"""The two manners of a value: strict about what users write, lenient about what other daemons send."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """A value that a person writes: an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class LenientModel(BaseModel):
    """A value that a program sends: an unknown key is ignored, so that newer writers do not stop older readers."""

    model_config = ConfigDict(frozen=True, extra="ignore", defer_build=True)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, in a fifth of the time: each step of a job is a copy. Such values have no private or extra
        fields, and what is frozen may be shared."""
        if deep:
            return super().model_copy(update=update, deep=True)
        return self._of({**self.__dict__, **(update or {})})

    @classmethod
    def construct_unchecked(cls, **values: Any) -> Self:
        """Of values that are known to be good, because they come from other such values: nothing is checked. Every
        field without a default must be there."""
        return cls._of({**_template(cls), **values})

    @classmethod
    def _of(cls, values: dict[str, Any]) -> Self:
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        object.__setattr__(made, "__pydantic_fields_set__", _NONE)
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


_NONE: set[str] = set()
"""Which fields were given is asked of no value that was made without checks."""


@cache
def _template(model: type[BaseModel]) -> dict[str, Any]:
    """All fields in their order, with their defaults."""
    return {name: None if field.is_required() else field.default for name, field in model.model_fields.items()}


V = TypeVar("V", bound=LenientModel)


class CachedJson(Generic[V]):
    """A frozen value and its JSON without defaults, made once, when it is first asked for. `part`: a class that the
    value's own is made from; only its fields are told."""

    __slots__ = ("_json", "_part", "value")

    def __init__(self, value: V, part: type[LenientModel] | None = None) -> None:
        self.value = value
        self._part = part
        self._json: str | None = None

    @classmethod
    def ready(cls, json: str) -> CachedJson[V]:
        """Of JSON that was read: there is no value."""
        dumped = cls.__new__(cls)
        dumped._json = json  # noqa: SLF001
        return dumped

    @property
    def json(self) -> str:
        if self._json is None:
            told = self._part or type(self.value)
            self._json = told.__pydantic_serializer__.to_json(self.value, exclude_defaults=True).decode()
        return self._json


class CachedJsonList(CachedJson[V]):
    """Several frozen values in one document, under `name`."""

    __slots__ = ("_name", "_values")

    def __init__(self, name: str, values: Sequence[V]) -> None:
        super().__init__(values[0])
        self._name, self._values = name, values

    @property
    def json(self) -> str:
        if self._json is None:
            self._json = f'{{"{self._name}":[{",".join(CachedJson(value).json for value in self._values)}]}}'
        return self._json
