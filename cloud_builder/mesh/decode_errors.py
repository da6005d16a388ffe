"""Explains in one line why a message cannot be decoded: the field, the cause, the nearest valid name.

Input: pydantic's list of errors. Output: `Undecodable`, whose message becomes the reason of a dead letter.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import nearest

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from cloud_builder.model.events import Payload

_MAX_ERRORS = 3
_MAX_INPUT = 40


class Undecodable(Rejected):
    """An error of a message that no reader can decode, now or later."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message, code="undecodable", hint=hint)


def from_validation_error(error: ValidationError, event: type[Payload], body: bytes) -> Undecodable:
    """Returns the pydantic errors of one body as one error; at most _MAX_ERRORS of them are described."""
    errors = error.errors(include_url=False, include_context=False)
    misspelt = _misspelt(errors, event, body)
    causes = [_describe(detail, misspelt) for detail in errors[:_MAX_ERRORS]]
    if len(errors) > _MAX_ERRORS:
        causes.append(f"and {len(errors) - _MAX_ERRORS} more")
    return Undecodable(f"{event.type}: {'; '.join(causes)}")


def refuse_ambiguous(event: type[Payload], body: bytes) -> None:
    """Raises Undecodable for JSON that parsers read differently: a repeated key, NaN, Infinity.

    Other errors are left to the parser of the event."""
    try:
        json.loads(body, object_pairs_hook=_unique_keys, parse_constant=_refuse_constant)
    except Undecodable as error:
        raise Undecodable(f"{event.type}: {error.message}", hint=error.hint) from None
    except (ValueError, RecursionError):
        return


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise Undecodable(f"the key {_short(key)} is there more than once", hint="Which one is meant? Keep one.")
        found[key] = value
    return found


def _refuse_constant(word: str) -> object:
    raise Undecodable(f"{word} is no JSON", hint="Write a number, or leave the key out.")


def _describe(detail: ErrorDetails, misspelt: dict[str, str]) -> str:
    text = detail["msg"].removeprefix("Value error, ")
    if detail["type"] == "json_invalid":
        return "not valid JSON" + text.removeprefix("Invalid JSON")
    field = ".".join(str(part) for part in detail["loc"])
    if not field:
        return text
    if detail["type"] == "missing":
        return f"{field}: missing" + (f' (is "{misspelt[field]}" meant to be it?)' if field in misspelt else "")
    return f"{field}: {text}, not {_short(detail['input'])}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _MAX_INPUT else f"{text[:_MAX_INPUT]}…"


def _misspelt(errors: Sequence[ErrorDetails], event: type[Payload], body: bytes) -> dict[str, str]:
    """Returns, for each missing field, the unknown key of the body that resembles it most."""
    missing = [str(detail["loc"][0]) for detail in errors if detail["type"] == "missing" and len(detail["loc"]) == 1]
    if not missing:
        return {}
    unknown = [key for key in json.loads(body) if key not in event.model_fields]
    found = {field: nearest(field, unknown) for field in missing}
    return {field: key for field, key in found.items() if key is not None}
