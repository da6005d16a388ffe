"""Removing what a build left: tried again while something still writes there, and possible on a full disk."""

from __future__ import annotations

import errno

import pytest

from cloud_builder.adapters.sandbox import namespaces, scratch
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.errors import Retryable


@pytest.fixture
def tools(monkeypatch):
    """What each call of a tool does, in turn, and where the calls had their side directories."""
    places, turns = [], []

    def tool(self, command, *writable, cancel=None):
        places.append(self._work)
        turns.pop(0)(command[-1])

    monkeypatch.setattr(NamespaceSandbox, "_tool", tool)
    monkeypatch.setattr(namespaces, "_REMOVE_PAUSES", (0.001, 0.001, 0.0))
    return places, turns


def fail(error):
    def turn(path):
        raise error

    return turn


NOT_EMPTY = fail(Retryable("rm: cannot remove 'upper': Directory not empty", code="sandbox-tool"))


def test_what_is_written_while_it_is_removed_is_removed_by_the_next_try(tmp_path, tools):
    places, turns = tools
    left = tmp_path / "job"
    left.mkdir()
    turns += [NOT_EMPTY, NOT_EMPTY, lambda path: left.rmdir()]
    NamespaceSandbox(tmp_path / "work").remove(left)
    assert not left.exists() and len(places) == 3


def test_what_stays_is_said_in_the_end(tmp_path, tools):
    places, turns = tools
    turns += [NOT_EMPTY] * 3
    with pytest.raises(Retryable, match="not empty"):
        NamespaceSandbox(tmp_path / "work").remove(tmp_path)
    assert len(places) == 3


def test_side_directory_is_in_memory_when_the_disk_is_full(tmp_path, tools):
    places, turns = tools
    left = tmp_path / "job"
    left.mkdir()
    turns += [fail(OSError(errno.ENOSPC, "No space left on device")), lambda path: left.rmdir()]
    NamespaceSandbox(tmp_path / "work").remove(left)
    assert places == [tmp_path / "work", scratch.memory_work_directory()]


def test_what_else_is_wrong_is_not_hidden(tmp_path, tools):
    _, turns = tools
    turns.append(fail(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(OSError, match="Too many"):
        NamespaceSandbox(tmp_path / "work").remove(tmp_path)
