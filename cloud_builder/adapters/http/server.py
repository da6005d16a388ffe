"""A small web server for repositories and objects, in threads of this process. Read-only.

    /                               a page with the repositories
    /repositories/<repository>/…    the files of an apt repository
    /objects/<sha256>[?name=N]      an object of the store; browsers save it as N
    /health                         200 while the server runs

For a higher load, any other web server can serve the directory of repositories.
"""

from __future__ import annotations

import logging
import os
import socket
import socketserver
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from cloud_builder.errors import Rejected
from cloud_builder.ports.store import ObjectStore

from .handler import Handler
from .site import Site

_LOG = logging.getLogger("cb.collector")


class Server:
    """A server that runs until `close`."""

    def __init__(self, listener: ThreadingHTTPServer) -> None:
        self._listener = listener
        self._thread = Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.2}, name="http", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return self._listener.server_port

    @property
    def url(self) -> str:
        """The URL for clients on this machine, without a slash at the end; a wildcard address becomes the loopback
        address.
        """
        host = str(self._listener.server_name)
        shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
        return f"http://{shown}:{self.port}"

    def close(self) -> None:
        """Stops listening. Responses that are being sent end with the process at the latest."""
        self._listener.shutdown()
        self._listener.server_close()
        self._thread.join()


def serve(host: str, port: int, repositories: Path, store: ObjectStore) -> Server:
    """Starts a server; `port` 0 selects a free port. Raises Rejected (`cannot-listen`) when the address is not free."""
    handler = partial(Handler, Site(repositories, store))
    try:
        return Server(_listener(host)((host, port), handler))
    except (OSError, OverflowError) as error:
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else str(error)
        raise Rejected(
            f"cannot serve repositories at {host}:{port}: {reason}",
            code="cannot-listen",
            hint="Choose another port with --port or the setting collector.port (0 takes a free one); `ss -ltnp` shows"
            " which process uses it.",
        ) from error


def _listener(host: str) -> type[ThreadingHTTPServer]:
    class Listener(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        request_queue_size = 128
        daemon_threads = True

        def server_bind(self) -> None:
            """Binds without http.server's look-up of the host's name, which can take long."""
            socketserver.TCPServer.server_bind(self)
            self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

        def handle_error(self, request: object, client_address: object) -> None:
            """Logs a lost connection at debug level: clients hang up often."""
            _LOG.debug("connection ended", extra={"client": str(client_address)}, exc_info=True)

    return Listener
