"""Keeps which commit deleted the unit of a package, so that a build that lacks the package can say so."""

from __future__ import annotations

import re

from cloud_builder.model.events import AttemptFinished, RequestAccepted
from cloud_builder.model.outcome import Outcome
from cloud_builder.planning.records import JobRecord
from cloud_builder.planning.relations import groups
from cloud_builder.ports.mesh import UnitOfWork

DELETED_PACKAGES = "deleted-packages"
"""Collection: `<source>/<package>` → the unit that made it, and the commit at which it was gone."""
MAX_PACKAGES = 5000
"""The newest are kept."""


def save(work: UnitOfWork, event: RequestAccepted) -> None:
    """Stores the packages of the units that a request's commit no longer has."""
    for unit in event.deleted:
        for name in unit.provides:
            body = {"package": name, "source": event.source, "unit": unit.path, "revision": event.revision}
            work.documents.put(DELETED_PACKAGES, f"{event.source}/{name}", body, parent=name, rank=work.now)
    if event.deleted and (surplus := work.documents.count(DELETED_PACKAGES) - MAX_PACKAGES) > 0:
        for oldest, _ in list(work.documents.find(DELETED_PACKAGES, most=surplus)):
            work.documents.delete(DELETED_PACKAGES, oldest)


def explain(work: UnitOfWork, job: JobRecord, event: AttemptFinished) -> AttemptFinished:
    """Returns the report of a failed build with the commit that deleted a package that the failure names."""
    if event.outcome is not Outcome.FAILURE:
        return event
    needed = {alternative.name for group in groups(job.build_depends, job.target.arch) for alternative in group}
    lines = [
        f"{name} was a package of {body['unit']}, which was deleted from {body['source']} at {body['revision'][:10]}"
        for name in sorted(needed)
        if re.search(rf"(?<![\w.+-]){re.escape(name)}(?![\w.+-])", event.message)
        for _, body in work.documents.find(DELETED_PACKAGES, parent=name, newest=True, most=1)
    ]
    if not lines:
        return event
    return event.model_copy(update={"message": "\n".join([event.message, *lines])})
