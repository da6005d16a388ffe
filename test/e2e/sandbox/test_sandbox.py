"""Every case of sandbox_cases.py, as root without subordinate ids and as an ordinary user."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from e2e.sandbox import sandbox_cases


@pytest.mark.parametrize("case", [case.__name__ for case in sandbox_cases.CASES])
def test_sandbox(case, account, tmp_home):
    program, place = tmp_home / "cases.py", tmp_home / case
    shutil.copyfile(sandbox_cases.__file__, program)
    place.mkdir()
    account.own(tmp_home)
    command = account.command(str(account.programs / "python"), str(program), case, str(place))
    ended = subprocess.run(
        command, env=account.environment(), cwd=place, capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
