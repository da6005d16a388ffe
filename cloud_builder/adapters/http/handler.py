"""Handles HTTP/1.1 requests: GET and HEAD, persistent connections, ranges, and "not modified" (RFC 9110).

A time in If-Modified-Since counts only when it equals that of the file: after a rollback the file is older than the
client's copy, and still a different one.
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

CHUNK_BYTES = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_LOG = logging.getLogger("cb.collector")


class Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection."""

    protocol_version = "HTTP/1.1"
    server_version = "cloud-builder"
    sys_version = ""
    timeout = 60
    disable_nagle_algorithm = True

    def __init__(self, site: Site, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self._respond()

    def do_HEAD(self) -> None:
        self._respond()

    def _respond(self) -> None:
        response = self._find()
        if isinstance(response, HTTPStatus):
            self._send_status(response)
            return
        with response.body:
            self._send(response)

    def _find(self) -> Response | HTTPStatus:
        try:
            url = urlsplit(self.path)
            parts = tuple(unquote(part) for part in url.path.split("/") if part)
            name = parse_qs(url.query).get("name", [""])[0]
            return self._site.find(parts, name) or HTTPStatus.NOT_FOUND
        except (CloudBuilderError, OSError, ValueError) as error:
            _LOG.warning("cannot serve", extra={"path": self.path, "reason": str(error)})
            return HTTPStatus.SERVICE_UNAVAILABLE

    def _send(self, response: Response) -> None:
        if self._is_unmodified(response):
            self._head(HTTPStatus.NOT_MODIFIED, response, None)
            return
        span = self._range(response)
        start, end = span or (0, response.size)
        if span and start >= end:
            self._send_status(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"bytes */{response.size}")
            return
        self._head(HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK, response, (start, end))
        if self.command != "HEAD":
            self._copy(response.body, start, end)

    def _is_unmodified(self, response: Response) -> bool:
        if "If-None-Match" in self.headers:
            return response.headers.get("ETag") in [tag.strip() for tag in self.headers["If-None-Match"].split(",")]
        return response.modified is not None and self.headers.get("If-Modified-Since") == _date(response.modified)

    def _range(self, response: Response) -> tuple[int, int] | None:
        """Returns (first byte, byte after the last); None: the whole file, as for several ranges."""
        requested = _RANGE.fullmatch(self.headers.get("Range", "").replace(" ", ""))
        state = self.headers.get("If-Range")
        if requested is None or requested.group() == "bytes=-":
            return None
        if state and state not in (response.headers.get("ETag"), response.modified and _date(response.modified)):
            return None
        first, last = requested.groups()
        if not first:
            return max(0, response.size - int(last)), response.size
        return int(first), min(response.size, int(last) + 1) if last else response.size

    def _head(self, status: HTTPStatus, response: Response, span: tuple[int, int] | None) -> None:
        self.send_response(status)
        if response.modified is not None:
            self.send_header("Last-Modified", _date(response.modified))
        for name, value in response.headers.items():
            self.send_header(name, value)
        if span is not None:
            self.send_header("Content-Type", response.type)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Length", str(span[1] - span[0]))
        if status == HTTPStatus.PARTIAL_CONTENT and span is not None:
            self.send_header("Content-Range", f"bytes {span[0]}-{span[1] - 1}/{response.size}")
        self.end_headers()

    def _copy(self, body: BinaryIO, start: int, end: int) -> None:
        body.seek(start)
        left = end - start
        while left > 0 and (piece := body.read(min(CHUNK_BYTES, left))):
            self.wfile.write(piece)
            left -= len(piece)
        if left > 0:
            self.close_connection = True  # shorter than Content-Length: the client must notice

    def _send_status(self, status: HTTPStatus, content_range: str = "") -> None:
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
