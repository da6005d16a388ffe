"""What the collector knows of each repository: in memory to work with, in documents to stay.

Each change goes to both, inside the transaction that the mesh loop opened. After a rollback `Shelves` is thrown away
and loaded again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from cloud_builder.model.frozen import Lenient
from cloud_builder.model.ids import JobId, RepositoryName, SourceName, UnitPath
from cloud_builder.model.repository import Holding, Slot
from cloud_builder.ports.mesh import Work
from cloud_builder.ports.state import Documents

RECENT = 500
"""Answers that are remembered of each repository, to be told again when the broker has lost its memory."""


class Shelf(Lenient):
    """A repository. `stale`: what it holds may differ from the snapshot, which is what was announced last.

    `architectures` ever published: they keep an index, so that no machine that follows the repository gets an error."""

    repository: RepositoryName
    source: SourceName
    suite: str
    snapshot: str = ""
    published_at: float = 0.0
    architectures: tuple[str, ...] = ()
    packages: int = 0
    stale: bool = True


class Shelves:
    """`contents`: by repository and slot. `waiting`: jobs to be answered, with the slot they fill."""

    def __init__(self, state: Documents) -> None:
        self.known: dict[RepositoryName, Shelf] = {}
        self.contents: dict[RepositoryName, dict[Slot, Holding]] = defaultdict(dict)
        self.waiting: dict[RepositoryName, dict[JobId, Slot]] = defaultdict(dict)
        for _, body in state.find("shelf"):
            shelf = Shelf.model_validate(body)
            self.known[shelf.repository] = shelf
            for _, held in state.find("holding", parent=shelf.repository):
                holding = Holding.model_validate(held)
                self.contents[shelf.repository][holding.slot] = holding
            for job, slot in state.find("waiting", parent=shelf.repository):
                self.waiting[shelf.repository][JobId(job)] = UnitPath(slot["unit"]), slot["target"]

    def save(self, work: Work, shelf: Shelf) -> None:
        self.known[shelf.repository] = shelf
        work.state.put("shelf", shelf.repository, shelf.model_dump(mode="json"))

    def hold(self, work: Work, name: RepositoryName, holding: Holding) -> None:
        self.contents[name][holding.slot] = holding
        work.state.put("holding", _key(name, holding.slot), holding.model_dump(mode="json"), parent=name)

    def drop(self, work: Work, name: RepositoryName, slots: Collection[Slot]) -> None:
        for slot in slots:
            del self.contents[name][slot]
            work.state.delete("holding", _key(name, slot))

    def wait(self, work: Work, name: RepositoryName, job: JobId, slot: Slot) -> None:
        self.waiting[name][job] = slot
        work.state.put("waiting", job, {"unit": slot[0], "target": slot[1]}, parent=name, rank=work.now)

    def answered(self, work: Work, name: RepositoryName, jobs: Collection[JobId], *, well: bool) -> None:
        for job in jobs:
            self.waiting[name].pop(job, None)
            work.state.delete("waiting", job)
            if well:
                work.state.put("answered", job, {}, parent=name, rank=work.now)
        if well and (surplus := work.state.count("answered", parent=name) - RECENT) > 0:
            for oldest, _ in list(work.state.find("answered", parent=name, most=surplus)):
                work.state.delete("answered", oldest)

    def recent(self, work: Work, name: RepositoryName) -> tuple[JobId, ...]:
        """Jobs that were answered well, the newest first."""
        return tuple(JobId(job) for job, _ in work.state.find("answered", parent=name, newest=True, most=RECENT))


def _key(name: RepositoryName, slot: Slot) -> str:
    return f"{name} {slot[0]} {slot[1]}"
