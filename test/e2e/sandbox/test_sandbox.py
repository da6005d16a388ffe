"""Every case of sandbox_cases.py, as root without subordinate ids and as an ordinary user."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from e2e.sandbox import sandbox_cases
from support import waiting


@pytest.mark.parametrize("case", [case.__name__ for case in sandbox_cases.CASES])
def test_sandbox(case, account, tmp_home):
    program, directory = tmp_home / "cases.py", tmp_home / case
    shutil.copyfile(sandbox_cases.__file__, program)
    (tmp_home / "support").mkdir(exist_ok=True)
    shutil.copyfile(waiting.__file__, tmp_home / "support" / "waiting.py")
    directory.mkdir()
    account.own(tmp_home)
    command = account.command(str(account.programs / "python"), str(program), case, str(directory))
    finished = subprocess.run(
        command,
        env=account.environment(),
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=4 * waiting.LIMIT,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
