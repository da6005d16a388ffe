"""The machine: QEMU without KVM, two processors, 3 GiB, its disks deleted at the end.

Input: kernel and disks. Output: the lines that the checks inside print to a port of their own, and the console as a
file. Must never leave a process behind, however this program ends.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from boot.base import Base

QEMU = "qemu-system-x86_64"
MEMORY = "3072"
_PIECE = 65536


class Guest:
    """A running machine, until `close`. `console`: a file with its console output."""

    def __init__(self, base: Base, guest_disk: Path, work: Path) -> None:
        self.console = work / "console.log"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(work / "report"))
        self._listener.listen(1)
        self._process = subprocess.Popen(
            [
                "setpriv",
                "--pdeathsig",
                "KILL",
                "nice",
                "-n",
                "10",
                QEMU,
                *_machine(base, guest_disk, self.console, work / "report"),
            ],
            env={"PATH": "/usr/bin:/bin", "TMPDIR": str(work)},
            stdin=subprocess.DEVNULL,
        )

    def lines(self, within: float) -> Iterator[dict[str, Any]]:
        """Yields each line that was printed inside, until the machine is off. TimeoutError after `within` seconds."""
        until = time.monotonic() + within
        self._listener.settimeout(30)
        line, _ = self._listener.accept()
        with line:
            rest = b""
            while True:
                line.settimeout(max(0.1, until - time.monotonic()))
                piece = line.recv(_PIECE)
                if not piece:
                    return
                *whole, rest = (rest + piece).split(b"\n")
                yield from (json.loads(each) for each in whole)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._listener.close()


def lacks() -> list[str]:
    """Returns the Debian packages that this machine lacks for running a guest."""
    programs = {
        QEMU: "qemu-system-x86",
        "mmdebstrap": "mmdebstrap",
        "mke2fs": "e2fsprogs",
        "java": "openjdk-17-jre-headless",
    }
    return [package for program, package in programs.items() if shutil.which(program) is None]


def _machine(base: Base, guest_disk: Path, console: Path, report: Path) -> list[str]:
    disks = (f"file={path},if=virtio,format=raw,snapshot=on,cache=unsafe" for path in (base.disk, guest_disk))
    return [
        *("-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", MEMORY),
        *("-nodefaults", "-no-user-config", "-display", "none"),
        *("-kernel", str(base.kernel), "-initrd", str(base.initrd)),
        *("-append", "root=/dev/vda rw console=ttyS0 mitigations=off"),
        *(word for disk in disks for word in ("-drive", disk)),
        *("-nic", "user,model=virtio-net-pci", "-device", "virtio-rng-pci"),
        *("-serial", f"file:{console}"),
        *("-device", "virtio-serial-pci", "-chardev", f"socket,id=report,path={report}"),
        *("-device", "virtserialport,chardev=report,name=cb.report"),
    ]
