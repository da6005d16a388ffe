"""Where others find what cb-collector serves: every daemon that names it must know, and none can ask."""

from __future__ import annotations

from cloud_builder.errors import Rejected
from cloud_builder.model.settings import CollectorSettings

_ANY = ("0.0.0.0", "::", "")  # compared with, not listened at
_HINT = (
    "Say what others reach it by: collector.public_url (CB_COLLECTOR__PUBLIC_URL), e.g. http://builds.example.org:8480"
)


def public_url(said: CollectorSettings) -> str:
    """Rejected when the settings name no address that anybody could use."""
    if not said.public_url:
        if said.port == 0:
            message = "collector.port 0 is any free port, and which one no other daemon could know"
            raise Rejected(message, code="no-public-url", hint=f"Choose one with --port N. Or: {_HINT}")
        if said.host in _ANY:
            message = f"collector.host {said.host} is every address of this machine, and none that others could use"
            raise Rejected(message, code="no-public-url", hint=_HINT)
    return said.url
