"""What others build on, generated from the model: JSON Schemas, the AsyncAPI document, topic set-up, ACLs,
reference pages.

In: the events, the topic table, the manifests and the settings. Out: texts by path, the same for the same model, so
that CI can tell when the files in `schemas/` are stale. Run as `python -m cloud_builder.wiring.schemas`.
"""

from __future__ import annotations

from .asyncapi import asyncapi
from .events_page import events_page
from .json_schemas import bodies
from .kafka import acls, topics
from .settings_page import settings_page

__all__ = ["files", "pages"]


def files() -> dict[str, str]:
    """Everything that belongs into `schemas/`: text by path relative to it."""
    return {**bodies(), "asyncapi.yaml": asyncapi(), "topics.sh": topics(), "acls.sh": acls()}


def pages() -> dict[str, str]:
    """The generated pages of `doc/reference/`."""
    return {"events.md": events_page(), "settings.md": settings_page()}
