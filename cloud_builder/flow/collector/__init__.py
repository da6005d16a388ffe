"""cb-collector: publishes the packages of finished jobs in signed repositories.

    flow.py           handles events; each tick publishes what has changed since
    planner.py        collects what planning/publish needs to decide what is listed
    publisher.py      publishes the repositories of a suite
    announcer.py      emits what became of the jobs
    repositories.py   the managed repositories, their entries, and the jobs to be answered
    inventory.py      the units and targets at the head of each source
    published_packages.py   the contents of every package version that was ever published
    store_retention.py      deletes unused objects from the object store
    verify.py         verifies the files of a job before they are published

    job.finished (publish) ─► verify in the store ─► entry of its unit and target ─┐
    source.revised (followed) ─► units and targets at the head ────────────────────┤
                                                       tick: one snapshot for all changes that can be installed
                                                                                   └─► repository.published

Must not: build, or decide what is built.
"""

from .flow import CollectorFlow

__all__ = ["CollectorFlow"]
