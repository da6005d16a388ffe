"""Real apt with a state directory of its own, never the machine's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cloud_builder.adapters import process
from cloud_builder.adapters.process import Finished
from support.waiting import LIMIT

CONFIGURATION = """\
Dir "{path}";
Dir::State "{path}/state";
Dir::State::status "{path}/state/status";
Dir::Cache "{path}/cache";
Dir::Etc "{path}/etc";
Dir::Log "{path}/log";
Dir::Bin::methods "/usr/lib/apt/methods";
APT::Architecture "{architecture}";
APT::Architectures "{architecture}";
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "0";
"""


class Apt:
    """An apt that sees nothing but `path` and the one source it was given."""

    def __init__(self, path: Path, sources: bytes, architecture: str = "amd64") -> None:
        for directory in ("state/lists/partial", "cache/archives/partial", "etc/sources.list.d", "etc/preferences.d"):
            (path / directory).mkdir(parents=True)
        for directory in ("etc/apt.conf.d", "etc/trusted.gpg.d", "log"):
            (path / directory).mkdir(parents=True)
        (path / "state/status").touch()
        (path / "etc/sources.list.d/demo.sources").write_bytes(sources)
        (path / "apt.conf").write_text(CONFIGURATION.format(path=path, architecture=architecture))
        self.path = path

    def run(self, program: str, *arguments: str, fine: Any = (0,)) -> Finished:
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "APT_CONFIG": str(self.path / "apt.conf")}
        return process.run(
            [program, *arguments], cwd=self.path, env={**environment, "LC_ALL": "C.UTF-8"}, timeout=LIMIT, expected=fine
        )

    def update(self) -> Finished:
        return self.run("apt-get", "update", "--error-on=any", fine=(0, 100))
