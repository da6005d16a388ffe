"""Unix datagram sockets that wake the sleeping readers of this machine after a send. Does not use Kafka.

    <directory>/<random name>   one socket for each reader, from its start to its end

A datagram has the names of the topics that records were sent to. It has no event and guarantees nothing: a reader that
misses it finds the event at its next check. A sender therefore never waits and never fails. It removes the sockets of
readers that ended without closing them.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

_DATAGRAM_BYTES = 4096
_MAX_DATAGRAMS = 8
"""Datagrams received at once; after more of them some may be lost. The kernel queues ten for a socket
(net.unix.max_dgram_qlen), and a sender drops the others."""


class _Directory:
    """An open directory. Its entries have paths in /proc, which fit into the 107 bytes of a socket address."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._path = Path(f"/proc/self/fd/{self._handle}")

    def entries(self) -> Iterable[Path]:
        return self._path.iterdir()

    def entry(self, name: str) -> Path:
        return self._path / name

    def close(self) -> None:
        os.close(self._handle)


class WakeSocket:
    """The socket of one reader. Used by one thread."""

    def __init__(self, path: Path, topics: Iterable[str]) -> None:
        """Creates the socket; raises OSError if it cannot.

        `path`: a directory that only this user may enter; it is created if it is missing.
        `topics`: the topics that the reader is woken for."""
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._topics = frozenset(topic.encode() for topic in topics)
        self._directory = _Directory(path)
        self._path = self._directory.entry(uuid4().hex)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN)
        try:
            self._socket.bind(str(self._path))
            self._path.chmod(0o666)  # The directory limits access. The mesh's user must be able to wake root's readers.
        except OSError:
            self.close()
            raise

    def wait(self, timeout: float) -> bool:
        """Returns True as soon as records were sent to one of the topics; False after `timeout` seconds."""
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            if not self._poller.poll(left * 1000):
                return False
            if self.was_woken():
                return True

    def was_woken(self) -> bool:
        """Receives the queued datagrams. Returns True if one named one of the topics, or if some may be lost."""
        count, woken = 0, False
        while count <= _MAX_DATAGRAMS:
            try:
                topics = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return woken
            count += 1
            woken = woken or not self._topics.isdisjoint(topics.split())
        return True

    def close(self) -> None:
        self._socket.close()
        with suppress(OSError):
            self._path.unlink()
        self._directory.close()


class WakeSender:
    """A sender of datagrams to all readers with a socket in a directory. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Opens the directory; raises OSError if there is none."""
        self._directory = _Directory(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, topics: Iterable[str]) -> None:
        """Sends one datagram to each reader."""
        datagram = " ".join(topics).encode()[:_DATAGRAM_BYTES]
        with suppress(OSError):
            for path in self._directory.entries():
                self._send_to(path, datagram)

    def _send_to(self, path: Path, datagram: bytes) -> None:
        try:
            self._socket.sendto(datagram, str(path))
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                with suppress(OSError):
                    path.unlink()

    def close(self) -> None:
        self._socket.close()
        self._directory.close()
