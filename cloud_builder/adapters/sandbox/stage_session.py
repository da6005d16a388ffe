"""One run of the stage, seen from the runner: starts it, maps its ids, exchanges messages, reads its output, ends it.

Runs in the calling thread: the kernel ends the stage together with the thread that started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

import cloud_builder
from cloud_builder.adapters.process import DEVNULL, Popen, spawn
from cloud_builder.model.limits import Limits
from cloud_builder.ports.sandbox import EndReason, RunResult

from . import resource_usage
from .cgroups import RunCgroup
from .host_errors import killed_from_outside, refused
from .idmap import IdMap
from .limit_monitor import LimitMonitor
from .stage.spec import DISK, KILL, MAPPED, SHARED, Spec, StageMessage

_POLL_INTERVAL = 0.1
"""Seconds until a cancel is noticed."""
_CGROUP_SAMPLE_INTERVAL = 0.25
"""Seconds between two samples of the usage where the kernel enforces the limits."""
_PIECE_BYTES = 65536
_FILE_BYTES = 4096
"""What a file counts as at least, so that empty files count, too."""
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from cloud_builder.adapters.sandbox.stage.launch import main; main(int(sys.argv[2]))"
)
_PACKAGE_PARENT = Path(cloud_builder.__file__).parent.parent


class StageSession:
    """One run. `run` is called once; when it returns, no process of the run is left."""

    def __init__(
        self, spec: Spec, ids: IdMap, limits: Limits | None, cgroup: RunCgroup | None, output: Callable[[bytes], None]
    ) -> None:
        self._spec, self._ids, self._cgroup, self._output = spec, ids, cgroup, output
        self._side_parent = Path(spec["side"]).parent
        self._disk_was_full = False
        started = time.monotonic()
        self._monitor = LimitMonitor(limits, started, self._free(), resource_usage.shared_memory())
        self._killed_before = resource_usage.out_of_memory_kills()
        self._sampled = started
        self._stage = self._init = 0
        self._pipe = -1
        self._status: int | None = None
        self._rss = 0
        self._refusal: tuple[str, int] | None = None
        self._unread = b""
        self._ended_by: EndReason | None = None

    def run(self, cancel: Event, stdin: int | None) -> RunResult:
        self._socket, stage_socket = socket.socketpair()
        self._pipe, output = os.pipe()
        terminal = self._spec["terminal"]
        try:
            child = self._start(stage_socket.fileno(), stdin, (1, 2) if terminal else (output, output))
        finally:
            stage_socket.close()
            os.close(output)
        self._stage = child.pid
        try:
            self._exchange(cancel)
        finally:
            self._socket.close()
            child.wait()
            os.close(self._pipe)
            if terminal:
                _take_terminal_back()
        return self._result()

    def _start(self, control: int, stdin: int | None, outputs: tuple[int, int]) -> Popen[bytes]:
        return spawn(
            [sys.executable, "-I", "-S", "-c", _START, str(_PACKAGE_PARENT), str(control)],
            stdin=DEVNULL if stdin is None else stdin,
            stdout=outputs[0],
            stderr=outputs[1],
            pass_fds=(control,),
            new_session=not self._spec["terminal"],
            env={},
        )

    def _exchange(self, cancel: Event) -> None:
        """Exchanges messages until both streams have ended.

        The stage is moved into its control group first: its interpreter is still starting, which takes long enough."""
        if self._cgroup:
            self._cgroup.add(self._stage)
        self._send(json.dumps(self._spec).encode() + b"\n")
        with selectors.DefaultSelector() as streams:
            streams.register(self._pipe, selectors.EVENT_READ, self._on_output)
            streams.register(self._socket, selectors.EVENT_READ, self._on_socket)
            while streams.get_map():
                for key, _ in streams.select(min(_POLL_INTERVAL, self._sample_interval())):
                    if not key.data():
                        streams.unregister(key.fileobj)
                self._sample_usage(cancel)

    def _sample_usage(self, cancel: Event) -> None:
        if self._ended_by is None and cancel.is_set():
            self._end(EndReason.CANCEL)
        now = time.monotonic()
        if now - self._sampled >= self._sample_interval() and self._init:
            self._sample(now)
            self._sampled = time.monotonic()
        if self._monitor.exceeded and self._ended_by is None:
            self._end(self._monitor.exceeded)

    def _sample_interval(self) -> float:
        return _CGROUP_SAMPLE_INTERVAL if self._cgroup else self._monitor.sample_interval

    def _sample(self, now: float) -> None:
        used = resource_usage.of_tree(self._init)
        self._disk_was_full = self._disk_was_full or resource_usage.is_full(self._side_parent)
        self._monitor.memory(used.memory)
        self._monitor.processes(used.tasks)
        self._monitor.clock(now)
        if self._monitor.wants_disk(now, self._free()):
            self._send(DISK)
        if self._monitor.limits and self._monitor.wants_shared(now, resource_usage.shared_memory()):
            self._send(SHARED)
        if self._ended_by is None and self._cgroup and (reached := self._cgroup.reached()):
            self._end(reached)

    def _on_output(self) -> bool:
        piece = os.read(self._pipe, _PIECE_BYTES)
        if piece:
            self._monitor.output(time.monotonic(), len(piece))
            if self._monitor.exceeded is not EndReason.LOG:
                self._output(piece)
        return bool(piece)

    def _on_socket(self) -> bool:
        piece = self._receive()
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            self._on_message(json.loads(line))
        return bool(piece)

    def _on_message(self, message: StageMessage) -> None:
        if message.get("unshared"):
            self._ids.apply(self._stage)
            self._send(MAPPED)
        self._init = message.get("init", self._init)
        self._status = message.get("status", self._status)
        self._rss = message.get("rss", self._rss)
        if self._status:
            # The program may have failed because of the limit before the next sample was due.
            self._monitor.processes(message.get("left", 0))
        self._monitor.disk(message.get("disk", 0))
        if "shared" in message:
            self._monitor.shared(message["shared"])
        if "error" in message:
            self._refusal = (message["error"], message["errno"])

    def _end(self, reason: EndReason) -> None:
        self._ended_by = reason
        self._send(KILL)

    def _result(self) -> RunResult:
        seconds = time.monotonic() - self._monitor.started
        peak = max(self._monitor.peak_memory, self._rss)
        reason = self._ended_by
        if self._status != 0:  # A program that succeeded has not failed because of a limit.
            reason = reason or (self._cgroup and self._cgroup.reached()) or self._monitor.exceeded
        if reason is not None:
            return RunResult(-signal.SIGKILL, reason, seconds, peak)
        if self._refusal is not None:
            raise refused(*self._refusal)
        if self._status is None:
            raise killed_from_outside()
        host_out_of_memory = resource_usage.out_of_memory_kills() > self._killed_before
        disk_was_full = self._disk_was_full or resource_usage.is_full(self._side_parent)
        return RunResult(self._status, EndReason.ITSELF, seconds, peak, host_out_of_memory, disk_was_full)

    def _send(self, message: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(message)

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(_PIECE_BYTES)
        except ConnectionResetError:
            return b""

    def _free(self) -> int:
        """Returns the free bytes of the disk; each free inode counts as `_FILE_BYTES`.

        It looks at the parent of the side directory: the stage deletes the side directory before the run has ended."""
        file_system = os.statvfs(self._side_parent)
        return file_system.f_bavail * file_system.f_frsize + file_system.f_ffree * _FILE_BYTES


def _take_terminal_back() -> None:
    """Makes this process group the foreground one again, which the shell was; else the next write would stop it."""
    with contextlib.suppress(OSError):
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)
