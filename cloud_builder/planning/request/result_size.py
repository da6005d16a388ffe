"""Which jobs a result has room to tell of: brokers take messages of a certain size, a request has any number of jobs.

In go the lines of a request in their order, out come those that fit, in the same order. Lines of jobs that went wrong
come first, because whoever reads the result wants their cause; cb-info knows all of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from cloud_builder.model.events import JobResult
from cloud_builder.model.outcome import Outcome

MAX_BYTES = 800_000
"""Of all lines together. Brokers take 1 MB unless they are told otherwise."""
_LINE, _FILE = 500, 250
"""Bytes of a line with its log, and of a file, without the texts in them, rounded up: making JSON only to weigh it
would cost more than sending it."""
_WRONG = frozenset({Outcome.FAILURE, Outcome.ERROR})


def lines_that_fit(lines: Sequence[JobResult], most: int = MAX_BYTES) -> tuple[JobResult, ...]:
    """At least one, where there is one."""
    weights = [_weight(line) for line in lines]
    if sum(weights) <= most:
        return tuple(lines)
    kept: set[int] = set()
    for at in sorted(range(len(lines)), key=lambda at: (lines[at].outcome not in _WRONG, at)):
        most -= weights[at]
        if kept and most < 0:
            break
        kept.add(at)
    return tuple(line for at, line in enumerate(lines) if at in kept)


def _weight(line: JobResult) -> int:
    weight = _LINE + len(line.unit) + len(json.dumps(line.message))
    for file in line.artifacts:
        weight += _FILE + len(file.name)
        if file.package is not None:
            weight += len(file.package.name) + len(file.package.depends) + len(file.package.provides)
    return weight
