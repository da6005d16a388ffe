"""The results of earlier builds in the documents: what an input key led to, and each unit's last build.

build-results   <input key>                the build result that later jobs with the same key reuse; rank: its last use
history         <source>:<unit>:<target>   seconds and inputs of the last good build; parent: the source
"""

from __future__ import annotations

from collections.abc import Callable

from cloud_builder.model.frozen import CachedJson
from cloud_builder.model.ids import InputKey
from cloud_builder.model.outcome import Kind
from cloud_builder.planning.graph.graph import Node
from cloud_builder.planning.preview.model import LastBuild
from cloud_builder.planning.records import BuildResult, JobRecord
from cloud_builder.ports.mesh import UnitOfWork
from cloud_builder.ports.state import Documents

RESULTS, HISTORY = "build-results", "history"
_TOUCH_INTERVAL = 86400.0
"""Seconds between two writes of the time of a result's last use."""


def load(documents: Documents, key: InputKey) -> BuildResult | None:
    body = documents.get(RESULTS, key)
    return None if body is None else BuildResult.model_validate(body)


def load_for_reuse(work: UnitOfWork, key: InputKey) -> BuildResult | None:
    """Returns the result of an input key, and renews the time of its last use, at most once a day."""
    result = load(work.documents, key)
    if result is not None and work.now - result.used_at > _TOUCH_INTERVAL:
        _put(work, key, result)
    return result


def save(work: UnitOfWork, job: JobRecord) -> None:
    """Stores the result of a job that was built successfully, and the unit's history.

    A package that is not published is no history: it may be of another commit than those of the followed branch."""
    assert job.input_key is not None
    seconds = sum(job.timings.values())
    result = BuildResult.construct_unchecked(
        job_id=job.job_id,
        artifacts=job.artifacts,
        log=job.log,
        seconds=seconds,
        source_version=job.source_version,
        rebuild=job.rebuild,
    )
    _put(work, job.input_key, result)
    if job.publish or job.kind is not Kind.PACKAGE:
        last = LastBuild(seconds=seconds, inputs=job.inputs, job_id=job.job_id)
        key = _history_key(job.source, job.unit, job.target.name)
        work.documents.put(HISTORY, key, CachedJson(last), parent=job.source)


def last_build(documents: Documents, job: JobRecord) -> LastBuild | None:
    """Returns the last good build of the job's unit for its target."""
    body = documents.get(HISTORY, _history_key(job.source, job.unit, job.target.name))
    return None if body is None else LastBuild.model_validate(body)


def expected_seconds(documents: Documents) -> Callable[[Node], float]:
    """Returns a function from a node to the seconds of its last build, 0.0 if it was never built. The function reads
    one document for a source that never built anything, not one for each of its units."""
    has_history: dict[str, bool] = {}

    def expected(node: Node) -> float:
        if node.source not in has_history:
            has_history[node.source] = any(documents.find(HISTORY, parent=node.source, most=1))
        last = documents.get(HISTORY, _history_key(*node)) if has_history[node.source] else None
        return float((last or {}).get("seconds", 0.0))

    return expected


def _put(work: UnitOfWork, key: InputKey, result: BuildResult) -> None:
    used = CachedJson(result.model_copy(update={"used_at": work.now}))
    work.documents.put(RESULTS, key, used, rank=work.now)


def _history_key(source: str, unit: str, target: str) -> str:
    return f"{source}:{unit}:{target}"
