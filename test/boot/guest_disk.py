"""The second disk: the files that an operator copies to the machine, and the checks.

cloud-builder/   the checkout, with changes that are not committed
wheels/          the Python packages that it requires: the guest uses no package index
source/ hostile/ the sources that are built; `hostile` has the units of units/
store/           a build root that another runner has prepared, unless the guest is to prepare it
inside/          the checks
options.json        the broker's port, and the names of the checks to run
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from boot import cache
from boot.base import HERE, ROOT, as_root, nice
from boot.prepared_image import prepared_image

SIZE = "3G"
CONSTRAINTS = ROOT / ".ci" / "constraints.txt"
IDENTITY = ("-c", "user.name=Boot", "-c", "user.email=boot@localhost", "-c", "init.defaultBranch=main")


def make_guest_disk(work: Path, port: int, *, prepare_inside: bool, only: str) -> Path:
    """Makes the disk in `work`; returns its file."""
    tree = work / "guest-disk"
    _checkout(tree / "cloud-builder")
    shutil.copytree(_wheels(), tree / "wheels")
    shutil.copytree(HERE / "inside", tree / "inside", ignore=shutil.ignore_patterns("__pycache__"))
    _commit(ROOT / "sources-example" / "projects", tree / "source")
    _commit(_hostile(work / "units"), tree / "hostile")
    if not prepare_inside:
        shutil.copytree(prepared_image(tree / "source"), tree / "store")
    (tree / "options.json").write_text(json.dumps({"port": port, "only": only}))
    disk = work / "guest-disk.ext4"
    nice("truncate", "-s", SIZE, disk)
    nice("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, disk)
    return disk


def _checkout(into: Path) -> None:
    listed = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (ROOT / name).exists():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name, follow_symlinks=False)


def _wheels() -> Path:
    """Returns the packages of this machine's Python, which has to be that of Debian 12."""
    if sys.version_info[:2] != (3, 11):
        sys.exit("The guest is Debian 12, with Python 3.11: make .venv with the same (.ci/setup dev).")
    key = cache.digest([CONSTRAINTS.read_text(), (ROOT / "pyproject.toml").read_text()])
    return cache.get_or_make("wheels", key, _fetch_wheels)


def _fetch_wheels(into: Path) -> None:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--constraint", CONSTRAINTS, "--wheel-dir", into]
    nice(*pip, "setuptools>=66", "wheel", ROOT)
    for ours in into.glob("cloud_builder-*"):
        ours.unlink()


def _commit(tree: Path, into: Path) -> None:
    shutil.copytree(tree, into / "projects", symlinks=True)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "As it is"]):
        subprocess.run(["git", "-C", str(into), *IDENTITY, *words], check=True)


def _hostile(into: Path) -> Path:
    """Makes a tiny Debian package for each script in units/, which is its build. Build root: that of the example."""
    example = ROOT / "sources-example" / "projects" / "packages" / "greet" / ".cb"
    for script in (HERE / "units").glob("*.sh"):
        unit = into / script.stem
        shutil.copytree(HERE / "units" / "package", unit)
        shutil.copytree(example, unit / ".cb")
        shutil.copy(script, unit / "attack.sh")
        for file in (path for path in unit.rglob("*") if path.is_file()):
            text = file.read_text()
            file.write_text(text.replace("UNIT", script.stem).replace("name: greet", f"name: {script.stem}"))
        (unit / "debian" / "rules").chmod(0o755)
    return into


def remove(work: Path) -> None:
    nice(*as_root(), "rm", "-rf", work)
