"""Names of cb-info's document collections whose name is not that of a row (job, request, unit, …).

The modules that write them describe their keys, parents and ranks: `history`, `branch_state`,
`change_index`, `projection`.
"""

from __future__ import annotations

NEWEST_JOB = "newest-job"
PAST_BUILD = "past-build"
PAST_FAILURE = "past-failure"
UNIT_TREE = "unit-tree"
UNIT_CHANGE = "unit-change"
DELETED_UNIT = "deleted-unit"

BUILT_TREE = "built-tree"
BEHIND = "behind"

JOB_CHANGE = "job-change"
ARTIFACT_JOB = "artifact-job"
REQUEST_TARGET = "request-target"
COUNTER = "counter"

QUARANTINE = "quarantine"
DEAD_LETTER = "dead-letter"
