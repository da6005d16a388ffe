"""Selects the job results that fit into `request.finished`: brokers limit messages, a request has any number of jobs.

*Input:* the results of all jobs, in their order. *Output:* the results that fit, in the same order. Results of failed
jobs are preferred, because a reader of the event needs their cause. cb-info has the results of all jobs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cloud_builder.model.events import JobResult
from cloud_builder.model.outcome import Outcome

MAX_BYTES = 800_000
"""Of all results together. Brokers accept messages of 1 MB by default."""
_LINE_BYTES, _FILE_BYTES = 500, 340
"""Bytes of a result with its log, and of a file, without the texts in them, rounded up. Encoding JSON only to measure
it would cost more than sending it."""
_FAILED = frozenset({Outcome.FAILURE, Outcome.ERROR})


def lines_that_fit(lines: Sequence[JobResult], most: int = MAX_BYTES) -> tuple[JobResult, ...]:
    """Returns the results that fit into `most` bytes; at least one, if there is one."""
    sizes = [_size(line) for line in lines]
    if sum(sizes) <= most:
        return tuple(lines)
    kept: set[int] = set()
    for at in sorted(range(len(lines)), key=lambda at: (lines[at].outcome not in _FAILED, at)):
        most -= sizes[at]
        if kept and most < 0:
            break
        kept.add(at)
    return tuple(line for at, line in enumerate(lines) if at in kept)


def _size(line: JobResult) -> int:
    size = _LINE_BYTES + len(line.unit) + len(json.dumps(line.message))
    for file in line.artifacts:
        size += _FILE_BYTES + len(file.name)
        if file.package is not None:
            package = file.package
            texts = (package.name, package.depends, package.provides, package.conflicts, package.in_distribution)
            size += sum(map(len, texts))
    return size
