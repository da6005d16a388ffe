"""cb-request: turns build requests and pushes into accepted or rejected requests, and announces source snapshots.

    flow.py           handles events and ticks; stores and emits decisions
    sources.py        the followed sources, and when each is polled
    store.py          reads and writes the stored entries
    entries.py        the stored entries, and changes of them (values)
    resolver.py       answers queries about sources by git, in threads of its own
    resolution.py     queries and their results (values)
    reconcile.py      decides what follows from a result (pure)
    retries.py        decides when a pending request is tried again (pure)
    replies.py        builds the events that accept or reject a request
    select.py         selects the units that a request names
    announcement.py   builds `source.revised` in parts, and its list of changes
    discover.py       discovers the units of a tree; also for `cb-ctl check`
    tree.py           trees: of a commit, of a working directory
    malformed.py      rejects a message that cannot be decoded
    decision_log.py   logs the decisions

Must not: decide what is built in which order, or check out a source.
"""

from .discover import check_tree, discover_tree
from .flow import RequestFlow

__all__ = ["RequestFlow", "check_tree", "discover_tree"]
