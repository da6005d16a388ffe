"""sbuild in unshare mode, on a root that mmdebstrap made, as an ordinary user: it refuses to run as root."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.processes import Skipped, bench_cache, need

MIRROR = "http://deb.debian.org/debian"
QUIET = ("--no-run-lintian", "--no-run-piuparts", "--no-run-autopkgtest", "--no-clean-source")


def build(files: Sequence[Path]) -> float:
    """Returns the seconds for a source. `files`: the .dsc first. Raises Skipped when something is missing."""
    sbuild = need("sbuild", "sbuild")
    account = _account()
    home = Path(tempfile.mkdtemp(prefix="cb-bench-sbuild-"))
    try:
        for file in files:
            shutil.copy(file, home)
        tarball = home / ".cache" / "sbuild" / "bookworm-amd64.tar"
        tarball.parent.mkdir(parents=True)
        tarball.symlink_to(_root())
        _give(home, account)
        words = [sbuild, "--chroot-mode=unshare", "--dist=bookworm", *QUIET, str(home / files[0].name)]
        started = time.monotonic()
        done = _run(words, home, account)
        seconds = time.monotonic() - started
    finally:
        shutil.rmtree(home, ignore_errors=True)
    if done.returncode != 0:
        raise Skipped(f"it ended with {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
    return seconds


def _account() -> pwd.struct_passwd | None:
    """Returns the user that builds: the present one, or for root a user with subordinate ids."""
    if os.getuid() != 0:
        return None
    names = [line.split(":")[0] for line in Path("/etc/subuid").read_text().splitlines() if ":" in line]
    for name in names:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Skipped("sbuild does not run as root, and no user has subordinate ids: useradd --create-home NAME")


def _run(words: list[str], home: Path, account: pwd.struct_passwd | None) -> subprocess.CompletedProcess[str]:
    if account is not None:
        words = ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--init-groups", *words]
    name = account.pw_name if account else pwd.getpwuid(os.getuid()).pw_name
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(home), "USER": name, "LOGNAME": name}
    return subprocess.run(words, cwd=home, env=environment, capture_output=True, text=True, timeout=200, check=False)


def _give(home: Path, account: pwd.struct_passwd | None) -> None:
    home.chmod(0o755)
    for path in [home, *home.rglob("*")] if account else ():
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)


def _root() -> Path:
    """A root of the build daemons' kind, not compressed, made once. In /var/tmp when we are root: our own home is
    closed to others."""
    directory = Path("/var/tmp/cb-bench") if os.getuid() == 0 else bench_cache()
    tarball = directory / "bookworm-sbuild.tar"
    if not tarball.exists():
        directory.mkdir(exist_ok=True)
        fresh = tarball.with_suffix(".new.tar")
        words = [need("mmdebstrap", "mmdebstrap"), "--variant=buildd", "bookworm", str(fresh), MIRROR]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Skipped(f"mmdebstrap ended with {done.returncode}: {done.stderr[-600:]}")
        fresh.chmod(0o644)
        fresh.rename(tarball)
    return tarball
