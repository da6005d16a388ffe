"""Shared by all end-to-end tests: who builds, where, and the cache that is kept between runs."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from support.ctl_mesh import Account, ordinary_account, user_cache


def accounts() -> list[str]:
    return ["root", "user"] if os.geteuid() == 0 else ["user"]


@pytest.fixture(scope="session", params=accounts())
def account(request) -> Account:
    """The account that runs the mesh: root (in a container without subordinate ids), and an ordinary user."""
    return ordinary_account() if request.param == "user" and os.geteuid() == 0 else Account()


@pytest.fixture(scope="session")
def cache(account) -> Path:
    path = user_cache(account)
    path.mkdir(parents=True, exist_ok=True)
    for directory in (path, path.parent, path.parent.parent):
        account.own_one(directory)
    return path


@pytest.fixture(scope="module")
def tmp_home(account):
    """A folder for homes and sources, short enough for sockets, owned by the account."""
    path = Path(tempfile.mkdtemp(prefix="cb-", dir="/var/tmp"))
    account.own(path)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="session")
def own_cache() -> Path:
    path = user_cache(Account())
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="module")
def own_home():
    path = Path(tempfile.mkdtemp(prefix="cb-", dir="/var/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)
