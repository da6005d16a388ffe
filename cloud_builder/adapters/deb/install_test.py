"""Makes the command of `cb-ctl try`: apt installs packages of a published repository, then a command runs.

The command runs in the sandbox as root, on a build root with a throw-away overlay. The repository is passed as a deb822
source with the public key inside, so that apt verifies the signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from cloud_builder.planning.publish import apt_index
from cloud_builder.ports.recipe import Action
from cloud_builder.ports.sandbox import Bind

from .build_commands import PATH

_APT = """
APT::Install-Recommends "false";
APT::Get::Assume-Yes "true";
APT::Get::allow-downgrades "true";
APT::Sandbox::User "root";
Acquire::Languages "none";
Dpkg::Use-Pty "false";
DPkg::Options { "--force-unsafe-io"; };
"""
_TRY = """
set -eu; umask 022
list=/etc/apt/sources.list.d/cb-try.sources
printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d
mkdir -p "${list%/*}" /etc/apt/preferences.d
cp /try/repository.sources "$list"
cp /try/pin /etc/apt/preferences.d/cb-try
apt-get -q update -o Dir::Etc::SourceList="$list" -o Dir::Etc::SourceParts=/dev/null -o APT::Get::List-Cleanup=0
packages=$(cat /try/packages)
if ! apt-get -q --simulate install $packages > /dev/null 2>&1; then
    echo 'The package lists may be older than the mirror; updating them.'
    apt-get -q update
fi
apt-get -q install $packages || exit 100
[ $# -gt 0 ] || set -- /bin/bash -i
exec "$@"
"""
NOT_INSTALLED = 100
"""The exit status when apt could not install the packages. apt-get itself uses it too."""


def install_command(
    repository: str, source: str, packages: Sequence[str], command: Sequence[str], workspace: Path
) -> Action:
    """Writes apt's configuration into `workspace`, and returns the command.

    `source`: the text of a deb822 source. `command`: empty for an interactive shell.
    """
    texts = {
        "repository.sources": apt_index.with_debug_symbols(source),
        "pin": f"Package: *\nPin: release l={repository}\nPin-Priority: 1001\n",
        "packages": "\n".join(packages),
        "apt.conf": _APT + "".join(f'Acquire::http::Proxy::{host} "DIRECT";\n' for host in _local(source)),
    }
    for name, text in texts.items():
        (workspace / name).write_text(text, encoding="utf-8")
    environment = {
        "PATH": PATH,
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "DEBIAN_FRONTEND": "noninteractive",
        "APT_CONFIG": "/try/apt.conf",
    }
    return Action(
        command=("sh", "-c", _TRY, "try", *command),
        uid=0,
        network=True,
        environment=environment,
        binds=(Bind(workspace, "/try"),),
    )


def _local(source: str) -> list[str]:
    """Returns the hosts of the source that a proxy cannot reach: those of this machine."""
    uris = [word for line in source.splitlines() if line.startswith("URIs:") for word in line.split()[1:]]
    hosts = {urlsplit(uri).hostname for uri in uris}
    return sorted(host for host in hosts if host in ("localhost", "127.0.0.1"))
