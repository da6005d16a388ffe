"""Returns the address of what cb-collector serves. Every daemon that writes a link needs it, and cannot query it."""

from __future__ import annotations

from cloud_builder.errors import Rejected
from cloud_builder.model.settings import CollectorSettings

_ALL_ADDRESSES = ("0.0.0.0", "::", "")
_HINT = (
    "Set collector.public_url (CB_COLLECTOR__PUBLIC_URL) to the address for others, e.g. http://builds.example.org:8480"
)


def public_url(settings: CollectorSettings) -> str:
    """Returns the URL without a slash at the end. Rejected when the settings name no address that others can use."""
    if not settings.public_url:
        if settings.port == 0:
            message = "collector.port 0 means any free port, which the other daemons cannot know"
            raise Rejected(message, code="no-public-url", hint=f"Choose a port with --port N. Or: {_HINT}")
        if settings.host in _ALL_ADDRESSES:
            message = f"collector.host {settings.host} means all addresses of this machine, and names none for others"
            raise Rejected(message, code="no-public-url", hint=_HINT)
    return settings.url
