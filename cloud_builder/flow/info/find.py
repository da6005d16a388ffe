"""Finding what a person named: by id, by the beginning of an id, or a job by its unit. What is not there is Rejected
with the nearest name that is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from cloud_builder.errors import Rejected
from cloud_builder.model.nearest import nearest
from cloud_builder.ports.state import Document, Documents

MAX_SCANNED = 5000
"""So many of the newest are looked at for a beginning or a nearest name."""


def one(collection: str, word: str, state: Documents) -> Document:
    """The document of that id, or the only one whose id begins so."""
    body = state.get(collection, word)
    if body is not None:
        return body
    keys = newest_keys(collection, state)
    begun = [key for key in keys if word and key.startswith(word)]
    if len(begun) == 1 and (body := state.get(collection, begun[0])) is not None:
        return body
    if begun:
        raise Rejected(
            f"{collection} {word!r}: {len(begun)} begin so", code="ambiguous", hint=f"For example {begun[0]}."
        )
    raise missing(collection, word, keys)


def job_of(word: str, state: Documents) -> Document:
    """A job by id, by unit (the newest job), or by a request that has but one."""
    if body := state.get("job", word) or _newest_job_of_unit(word, state):
        return body
    if state.get("request", word):
        jobs = [body for _, body in state.find("job", parent=word, most=2)]
        if len(jobs) == 1:
            return jobs[0]
        if jobs:
            hint = f"Name one of its jobs, for example {jobs[0]['job_id']}."
            raise Rejected(f"request {word} has more than one job", code="ambiguous", hint=hint)
        raise Rejected(f"request {word} has no job yet", code="not-found", hint=f"cb-ctl status {word}")
    try:
        return one("job", word, state)
    except Rejected as unknown:
        raise _better(unknown, word, state) from None


def resolve_id(word: str, state: Documents) -> tuple[str, str]:
    """`("job" | "request", id)` for an id, a beginning or a unit's name."""
    for collection in ("job", "request"):
        if state.get(collection, word) is not None:
            return collection, word
    if job := _newest_job_of_unit(word, state):
        return "job", job["job_id"]
    keys = {collection: newest_keys(collection, state) for collection in ("request", "job")}
    for collection, known in keys.items():
        begun = [key for key in known if word and key.startswith(word)]
        if len(begun) == 1:
            return collection, begun[0]
        if begun:
            raise Rejected(
                f"{word!r}: {len(begun)} {collection}s begin so", code="ambiguous", hint=", ".join(begun[:5])
            )
    raise _better(missing("job or request", word, [*keys["request"], *keys["job"]]), word, state)


def newest_of_unit(word: str, state: Documents, most: int) -> list[Document]:
    """The newest job of each target of a unit, the newest first; of each unit, when several are called so."""
    found: list[Document] = []
    source, _, path = word.rpartition(":")
    for _, newest in state.find("newest", parent=path.rsplit("/", 1)[-1], newest=True):
        body = state.get("job", newest["job_id"])
        if body and source in ("", body["source"]) and f"/{body['unit']}".endswith(f"/{path}"):
            found.append(body)
        if len(found) == most:
            break
    return found


def unit(word: str, state: Documents) -> Document | None:
    """A unit by its path, or the end of it, with or without its source."""
    source, _, path = word.rpartition(":")
    for _, body in state.find("unit", parent=source or None):
        if f"/{body['path']}".endswith(f"/{path}"):
            return body
    return None


def missing(what: str, word: str, known: Iterable[str]) -> Rejected:
    close = nearest(word, known)
    listed = "requests" if "request" in what else f"{what}s"
    hint = f"Did you mean {close}?" if close else f"cb-ctl list {listed}"
    return Rejected(f"{what} {word!r}: not known", code="not-found", hint=hint)


def _better(unknown: Rejected, word: str, state: Documents) -> Rejected:
    """People name jobs by their unit: the nearest unit, when no id was near."""
    units = {body["path"] for _, body in state.find("unit")}
    close = nearest(word, units) if "Did you mean" not in unknown.hint and unknown.code == "not-found" else None
    return Rejected(unknown.message, code=unknown.code, hint=f"Did you mean {close}?") if close else unknown


def newest_keys(collection: str, state: Documents) -> list[str]:
    return [key for key, _ in islice(state.find(collection, newest=True, most=MAX_SCANNED), MAX_SCANNED)]


def _newest_job_of_unit(word: str, state: Documents) -> Document | None:
    """`hello`, `packages/hello` or `demo:packages/hello`."""
    source, _, path = word.rpartition(":")
    for key, _ in state.find("job-name", parent=path.rsplit("/", 1)[-1], newest=True):
        body = state.get("job", key)
        if body and (not source or body["source"] == source) and f"/{body['unit']}".endswith(f"/{path}"):
            return body
    return None
