"""HTTP/1.1 over the site: GET and HEAD, kept connections, ranges, and "not modified" (RFC 9110).

A time in If-Modified-Since counts only when it is exactly the file's: after a rollback the file is older than what the
client has, and still another one.
"""

from __future__ import annotations

import logging
import re
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO
from urllib.parse import parse_qs, unquote, urlsplit

from cloud_builder.errors import CloudBuilderError

from .site import Response, Site

PIECE = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_LOG = logging.getLogger("cb.collector")


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server_version = "cloud-builder"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True

    def __init__(self, site: Site, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        answer = self._find()
        if isinstance(answer, HTTPStatus):
            self._plain(answer)
            return
        with answer.body:
            self._send(answer)

    def _find(self) -> Response | HTTPStatus:
        try:
            url = urlsplit(self.path)
            parts = tuple(unquote(part) for part in url.path.split("/") if part)
            name = parse_qs(url.query).get("name", [""])[0]
            return self._site.find(parts, name) or HTTPStatus.NOT_FOUND
        except (CloudBuilderError, OSError, ValueError) as error:
            _LOG.warning("cannot serve", extra={"path": self.path, "reason": str(error)})
            return HTTPStatus.SERVICE_UNAVAILABLE

    def _send(self, answer: Response) -> None:
        if self._is_known(answer):
            self._head(HTTPStatus.NOT_MODIFIED, answer, None)
            return
        asked = self._range(answer)
        start, end = asked or (0, answer.size)
        if asked and start >= end:
            self._plain(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{answer.size}")
            return
        self._head(HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK, answer, (start, end))
        if self.command != "HEAD":
            self._copy(answer.body, start, end)

    def _is_known(self, answer: Response) -> bool:
        if "If-None-Match" in self.headers:
            return answer.headers.get("ETag") in [tag.strip() for tag in self.headers["If-None-Match"].split(",")]
        return answer.modified is not None and self.headers.get("If-Modified-Since") == _date(answer.modified)

    def _range(self, answer: Response) -> tuple[int, int] | None:
        """(first byte, byte after the last); None for the whole. Several ranges are answered with the whole."""
        wanted = _RANGE.fullmatch(self.headers.get("Range", "").replace(" ", ""))
        state = self.headers.get("If-Range")
        if wanted is None or wanted.group() == "bytes=-":
            return None
        if state and state not in (answer.headers.get("ETag"), answer.modified and _date(answer.modified)):
            return None
        first, last = wanted.groups()
        if not first:
            return max(0, answer.size - int(last)), answer.size
        return int(first), min(answer.size, int(last) + 1) if last else answer.size

    def _head(self, status: HTTPStatus, answer: Response, span: tuple[int, int] | None) -> None:
        self.send_response(status)
        if answer.modified is not None:
            self.send_header("Last-Modified", _date(answer.modified))
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if span is not None:
            self.send_header("Content-Type", answer.type)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(span[1] - span[0]))
        if status == HTTPStatus.PARTIAL_CONTENT and span is not None:
            self.send_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{answer.size}")
        self.end_headers()

    def _copy(self, body: BinaryIO, start: int, end: int) -> None:
        body.seek(start)
        left = end - start
        while left > 0 and (piece := body.read(min(PIECE, left))):
            self.wfile.write(piece)
            left -= len(piece)
        if left > 0:
            self.close_connection = True  # shorter than promised: the client must notice

    def _plain(self, status: HTTPStatus, content_range: str = "") -> None:
        body = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        if content_range:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        _LOG.debug("http", extra={"client": self.client_address[0], "line": format % arguments})


def _date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)
