"""Unix datagram sockets that tell sleeping readers of this machine that something was sent. No Kafka in here.

    <directory>/<random name>   one socket a reader, from its start to its end

A datagram names the topics that were sent to. It carries no event and promises nothing: a reader that misses it finds
the event at its next check. A sender therefore never waits and never fails; what a dead reader left is removed.
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
_QUEUE_MAY_BE_FULL = 8
"""Datagrams at once. The kernel keeps ten for a reader (net.unix.max_dgram_qlen), and a sender drops the others."""


class _Directory:
    """An open directory. Paths through /proc stay below the 107 bytes of a socket's address, wherever it is."""

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
    """The socket of one reader of `topics`. OSError when it cannot be made. Belongs to one thread."""

    def __init__(self, path: Path, topics: Iterable[str]) -> None:
        """`path`: a directory of this user alone; it is made when it is missing."""
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._topics = frozenset(topic.encode() for topic in topics)
        self._directory = _Directory(path)
        self._path = self._directory.entry(uuid4().hex)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN)
        try:
            self._socket.bind(str(self._path))
            self._path.chmod(0o666)  # The directory guards it: root's reader is woken by the mesh's user, too.
        except OSError:
            self.close()
            raise

    def wait(self, timeout: float) -> bool:
        """True as soon as something was sent to one of the topics; False after `timeout` seconds."""
        until = time.monotonic() + timeout
        while True:
            left = max(0.0, until - time.monotonic())
            if not self._poller.poll(left * 1000):
                return False
            if self.is_called():
                return True

    def is_called(self) -> bool:
        """Takes what has come; True when any of it was about one of the topics, or may have been."""
        count, called = 0, False
        while count <= _QUEUE_MAY_BE_FULL:
            try:
                topics = self._socket.recv(_DATAGRAM_BYTES)
            except BlockingIOError:
                return called
            count += 1
            called = called or not self._topics.isdisjoint(topics.split())
        return True

    def close(self) -> None:
        self._socket.close()
        with suppress(OSError):
            self._path.unlink()
        self._directory.close()


class WakeSender:
    """Wakes the readers that have a socket in a directory. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """OSError when there is no such directory."""
        self._directory = _Directory(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    def send(self, topics: Iterable[str]) -> None:
        """One datagram to each reader."""
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
