"""cb-collector: publishes the packages of finished jobs in signed repositories.

    flow.py           handles events; each tick publishes what has changed since
    repositories.py   the managed repositories, their entries, and the jobs to be answered
    inventory.py      the units and targets at the head of each source
    verify.py         verifies the files of a job before they are published

    job.finished (publish) ─► verify in the store ─► entry of its unit and target ─┐
    source.revised (followed) ─► units and targets at the head ────────────────────┤
                                                       tick: one snapshot for all changes since the last
                                                                                   └─► repository.published

Must not: build, or decide what is built.
"""

from .flow import CollectorFlow

__all__ = ["CollectorFlow"]
