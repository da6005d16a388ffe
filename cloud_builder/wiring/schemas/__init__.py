"""What others build on, generated from the model: JSON Schemas, the AsyncAPI document, topic set-up, ACLs, a page.

In: the events, the topic table, the manifests and the settings. Out: texts by path, the same for the same model, so
that CI can tell when the files in `schemas/` are stale. Run as `python -m cloud_builder.wiring.schemas`.
"""

from __future__ import annotations

from .asyncapi import asyncapi
from .bodies import bodies
from .kafka import acls, topics
from .page import page

__all__ = ["files", "page"]


def files() -> dict[str, str]:
    """Everything that belongs into `schemas/`: text by path relative to it."""
    return {**bodies(), "asyncapi.yaml": asyncapi(), "topics.sh": topics(), "acls.sh": acls()}
