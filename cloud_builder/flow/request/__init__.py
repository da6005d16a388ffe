"""cb-request: the front door. Wishes and pushes in; source snapshots, accepted requests and rejections out.

    flow.py       the Flow: what each event and each tick means
    lookout.py    asks git, in threads of its own, so that the loop never waits for a network
    book.py       what is remembered: sources, open wishes, requests, what was announced last
    desk.py       what git's answer leads to: announcements, verdicts, pushes
    answer.py     a wish and what git said → accepted (pinned to a commit) or rejected
    select.py     names in a wish → units, or the cause and the nearest valid name
    announce.py   source.revised in parts, and what a push changed
    changes.py    changed files → the units they lie in
    discover.py   a tree → its units and problems
    tree.py       trees: of a commit, of a working directory
    check.py      the same discovery for `cb-ctl check`
    malformed.py  a message that is no wish still gets its answer

It never decides what to build in which order, and never checks anything out.
"""

from .check import check_tree
from .flow import RequestFlow

__all__ = ["RequestFlow", "check_tree"]
