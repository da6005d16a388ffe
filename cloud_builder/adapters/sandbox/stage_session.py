"""One run of the stage, seen from the runner: starts it, maps its ids, speaks with it, carries its output, ends it.

All of it in the calling thread: the kernel ends the stage together with the thread that started it.
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

_TICK = 0.1
"""Seconds: how soon a cancel is noticed."""
_SAMPLE = 0.25
_PIECE = 65536
_FILE = 4096
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from cloud_builder.adapters.sandbox.stage.launch import main; main(int(sys.argv[2]))"
)
_OURS = Path(cloud_builder.__file__).parent.parent


class StageSession:
    """`hold` is called once and returns when nothing of the run is left."""

    def __init__(
        self, spec: Spec, ids: IdMap, limits: Limits | None, group: RunCgroup | None, output: Callable[[bytes], None]
    ) -> None:
        self._spec, self._ids, self._group, self._output = spec, ids, group, output
        self._place = Path(spec["side"]).parent
        self._crowded = False
        started = time.monotonic()
        self._watch = LimitMonitor(limits, started, self._free(), resource_usage.shared_memory())
        self._killed_before = resource_usage.out_of_memory_kills()
        self._sampled = started
        self._stage = self._init = 0
        self._pipe = -1
        self._status: int | None = None
        self._rss = 0
        self._refusal: tuple[str, int] | None = None
        self._unread = b""
        self._ended_by: EndReason | None = None

    def hold(self, cancel: Event, stdin: int | None) -> RunResult:
        self._ours, theirs = socket.socketpair()
        self._pipe, write = os.pipe()
        terminal = self._spec["terminal"]
        try:
            child = self._start(theirs.fileno(), stdin, (1, 2) if terminal else (write, write))
        finally:
            theirs.close()
            os.close(write)
        self._stage = child.pid
        try:
            self._exchange(cancel)
        finally:
            self._ours.close()
            child.wait()
            os.close(self._pipe)
            if terminal:
                _take_terminal_back()
        return self._ended()

    def _start(self, control: int, stdin: int | None, outputs: tuple[int, int]) -> Popen[bytes]:
        return spawn(
            [sys.executable, "-I", "-S", "-c", _START, str(_OURS), str(control)],
            stdin=DEVNULL if stdin is None else stdin,
            stdout=outputs[0],
            stderr=outputs[1],
            pass_fds=(control,),
            new_session=not self._spec["terminal"],
            env={},
        )

    def _exchange(self, cancel: Event) -> None:
        """Until both streams have ended. The stage joins the group while its interpreter starts: that is slow."""
        if self._group:
            self._group.add(self._stage)
        self._send(json.dumps(self._spec).encode() + b"\n")
        with selectors.DefaultSelector() as streams:
            streams.register(self._pipe, selectors.EVENT_READ, self._carry)
            streams.register(self._ours, selectors.EVENT_READ, self._listen)
            while streams.get_map():
                for key, _ in streams.select(_TICK):
                    if not key.data():
                        streams.unregister(key.fileobj)
                self._sample_usage(cancel)

    def _sample_usage(self, cancel: Event) -> None:
        if self._ended_by is None and cancel.is_set():
            self._end(EndReason.CANCEL)
        now = time.monotonic()
        if now - self._sampled >= _SAMPLE and self._init:
            self._sample(now)
            self._sampled = time.monotonic()
        if self._watch.exceeded and self._ended_by is None:
            self._end(self._watch.exceeded)

    def _sample(self, now: float) -> None:
        used = resource_usage.of_tree(self._init)
        self._crowded = self._crowded or resource_usage.is_full(self._place)
        self._watch.memory(used.memory)
        self._watch.processes(used.tasks)
        self._watch.clock(now)
        if self._watch.wants_disk(now, self._free()):
            self._send(DISK)
        if self._watch.limits and self._watch.wants_shared(now, resource_usage.shared_memory()):
            self._send(SHARED)
        if self._ended_by is None and self._group and (reached := self._group.reached()):
            self._end(reached)

    def _carry(self) -> bool:
        piece = os.read(self._pipe, _PIECE)
        if piece:
            self._watch.output(time.monotonic(), len(piece))
            if self._watch.exceeded is not EndReason.LOG:
                self._output(piece)
        return bool(piece)

    def _listen(self) -> bool:
        piece = self._receive()
        *lines, self._unread = (self._unread + piece).split(b"\n")
        for line in lines:
            self._on_message(json.loads(line))
        return bool(piece)

    def _on_message(self, said: StageMessage) -> None:
        if said.get("unshared"):
            self._ids.apply(self._stage)
            self._send(MAPPED)
        self._init = said.get("init", self._init)
        self._status = said.get("status", self._status)
        self._rss = said.get("rss", self._rss)
        if self._status:
            self._watch.processes(said.get("left", 0))  # It may have failed for that, faster than a sample.
        self._watch.disk(said.get("disk", 0))
        if "shared" in said:
            self._watch.shared(said["shared"])
        if "error" in said:
            self._refusal = (said["error"], said["errno"])

    def _end(self, why: EndReason) -> None:
        self._ended_by = why
        self._send(KILL)

    def _ended(self) -> RunResult:
        seconds = time.monotonic() - self._watch.started
        peak = max(self._watch.peak_memory, self._rss)
        reached = self._ended_by
        if self._status != 0:  # Else it succeeded in spite of what it reached.
            reached = reached or (self._group and self._group.reached()) or self._watch.exceeded
        if reached is not None:
            return RunResult(-signal.SIGKILL, reached, seconds, peak)
        if self._refusal is not None:
            raise refused(*self._refusal)
        if self._status is None:
            raise killed_from_outside()
        starved = resource_usage.out_of_memory_kills() > self._killed_before
        crowded = self._crowded or resource_usage.is_full(self._place)
        return RunResult(self._status, EndReason.ITSELF, seconds, peak, starved, crowded)

    def _send(self, order: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._ours.sendall(order)

    def _receive(self) -> bytes:
        try:
            return self._ours.recv(_PIECE)
        except ConnectionResetError:
            return b""

    def _free(self) -> int:
        """In bytes; every file counts as a block, so that empty ones count, too. Beside the side directory, because the
        stage deletes that before we hear of its end."""
        file_system = os.statvfs(self._place)
        return file_system.f_bavail * file_system.f_frsize + file_system.f_ffree * _FILE


def _take_terminal_back() -> None:
    """The shell's process group held the terminal; without this our next write to it would stop us."""
    with contextlib.suppress(OSError):
        before = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.tcsetpgrp(0, os.getpgrp())
        signal.signal(signal.SIGTTOU, before)
