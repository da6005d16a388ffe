"""Maps the path of a URL to an open file or a page.

Must not reach anything outside of the repositories and the store, also through `..` or links.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from cloud_builder.errors import Permanent
from cloud_builder.model.ids import Digest
from cloud_builder.ports.store import ObjectStore

_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+~:_@%-]{0,249}")
_TEXT = "text/plain; charset=utf-8"
_TYPES = {
    ".deb": "application/vnd.debian.binary-package",
    ".gz": "application/gzip",
    ".gpg": "application/pgp-keys",
    **dict.fromkeys(("", ".asc", ".buildinfo", ".changes", ".dsc", ".list", ".log"), _TEXT),
    **dict.fromkeys((".packages", ".pref", ".sources", ".txt"), _TEXT),
}


@dataclass(frozen=True)
class Response:
    """A body with its headers. `modified`: whole seconds since the epoch; None: the page was just generated."""

    body: BinaryIO
    size: int
    type: str = "application/octet-stream"
    modified: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Site:
    """The pages and files of the server. Thread-safe. Each look-up returns None for a path that does not exist."""

    def __init__(self, repositories: Path, store: ObjectStore) -> None:
        self._repositories, self._store = repositories, store

    def find(self, path: tuple[str, ...], name: str = "") -> Response | None:
        """Returns the response. `path`: unquoted parts of the path. `name`: the file name under which to save an
        object.
        """
        if path == ():
            return _page(self._index())
        if path == ("health",):
            return _page("ok\n", _TEXT)
        if path[0] == "objects" and len(path) == 2:
            return self._object(Digest(path[1]), name)
        if path[0] == "repositories" and len(path) == 2:
            return self._repository(path[1])
        if path[0] == "repositories" and len(path) > 2:
            return self._file(path[1], path[2:])
        return None

    def _object(self, digest: Digest, name: str) -> Response | None:
        try:
            size, body = self._store.size(digest), self._store.open(digest)
        except Permanent:
            return None
        headers = {"ETag": f'"{digest}"', "Cache-Control": "public, max-age=31536000, immutable"}
        if not _FILE_NAME.fullmatch(name):
            return Response(body, size, headers=headers)
        headers["Content-Disposition"] = f'inline; filename="{name}"'
        return Response(body, size, _type(name), headers=headers)

    def _file(self, repository: str, parts: tuple[str, ...]) -> Response | None:
        if not all(_is_shown(part) for part in (repository, *parts)):
            return None
        top = (self._repositories / repository).resolve()
        path = top.joinpath(*parts).resolve()
        if not (path.is_relative_to(top) and path.is_file()):
            return None
        try:
            body = path.open("rb")
        except FileNotFoundError:
            return None
        status = os.fstat(body.fileno())
        return Response(body, status.st_size, _type(parts[-1]), int(status.st_mtime))

    def _names(self) -> list[str]:
        if not self._repositories.is_dir():
            return []
        return sorted(path.name for path in self._repositories.iterdir() if (path / "current").is_dir())

    def _repository(self, name: str) -> Response | None:
        if name not in self._names():
            return None
        snapshot = (self._repositories / name / "current").resolve().name
        shown = html.escape(name)
        return _page(
            _document(
                shown,
                f"<p>Snapshot {html.escape(snapshot)}. To install from it, on Debian 12 and newer:</p>\n"
                f"<pre>curl -fsSLo /etc/apt/sources.list.d/{shown}.sources &lt;this URL&gt;/{shown}.sources\n"
                f"curl -fsSLo /etc/apt/preferences.d/{shown}.pref &lt;this URL&gt;/{shown}.pref\n"
                "apt-get update</pre>\n"
                f'<p><a href="/repositories/{shown}/{shown}.sources">{shown}.sources</a> '
                f'<a href="/repositories/{shown}/{shown}.pref">{shown}.pref</a> '
                f'<a href="/repositories/{shown}/{shown}.list">{shown}.list</a> '
                f'<a href="/repositories/{shown}/key.asc">key.asc</a></p>',
            )
        )

    def _index(self) -> str:
        names = [html.escape(name) for name in self._names()]
        items = "\n".join(f'<li><a href="/repositories/{name}">{name}</a></li>' for name in names)
        return _document("Repositories", f"<ul>\n{items}\n</ul>" if items else "<p>Nothing is published yet.</p>")


def _is_shown(part: str) -> bool:
    return part != "" and not part.startswith(".") and "/" not in part and "\0" not in part


def _type(name: str) -> str:
    return _TYPES.get(Path(name).suffix, "application/octet-stream")


def _document(title: str, body: str) -> str:
    head = f'<meta charset="utf-8"><title>{title}</title>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n'


def _page(text: str, kind: str = "text/html; charset=utf-8") -> Response:
    content = text.encode()
    return Response(BytesIO(content), len(content), kind)
