"""Files for other programs and operators, generated from the model.

Input: the events, the topic table, the manifests and the settings. Output: texts by path, the same for the same model,
so that CI detects stale files in `schemas/` and doc/reference. Run as `python -m cloud_builder.wiring.schemas`.

asyncapi        the AsyncAPI document
events_page     doc/reference/events.md
json_schemas    JSON Schemas of events, manifests and settings
kafka           shell scripts that create topics and ACLs
settings_page   doc/reference/settings.md
"""

from __future__ import annotations

from .asyncapi import asyncapi
from .events_page import events_page
from .json_schemas import bodies
from .kafka import acls, topics
from .settings_page import settings_page

__all__ = ["files", "pages"]


def files() -> dict[str, str]:
    """Returns the files of `schemas/`: text by path."""
    return {**bodies(), "asyncapi.yaml": asyncapi(), "topics.sh": topics(), "acls.sh": acls()}


def pages() -> dict[str, str]:
    """Returns the generated pages of `doc/reference/`: text by path."""
    return {"events.md": events_page(), "settings.md": settings_page()}
