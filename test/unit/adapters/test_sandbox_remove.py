"""Removing files of a build: tried again while a process still writes there, and possible on a full disk."""

from __future__ import annotations

import errno

import pytest

from cloud_builder.adapters.sandbox import namespaces, scratch
from cloud_builder.adapters.sandbox.namespaces import NamespaceSandbox
from cloud_builder.errors import Retryable


@pytest.fixture
def tools(monkeypatch):
    """The work directories of the tool's calls, and what each call does, in turn."""
    directories, turns = [], []

    def tool(self, command, *writable, cancel=None):
        directories.append(self._work)
        turns.pop(0)(command[-1])

    monkeypatch.setattr(NamespaceSandbox, "_tool", tool)
    monkeypatch.setattr(namespaces, "_REMOVE_PAUSES", (0.001, 0.001, 0.0))
    return directories, turns


def fail(error):
    def turn(path):
        raise error

    return turn


NOT_EMPTY = fail(Retryable("rm: cannot remove 'upper': Directory not empty", code="sandbox-tool"))


def test_removal_is_tried_again_when_files_were_written_meanwhile(tmp_path, tools):
    directories, turns = tools
    left = tmp_path / "job"
    left.mkdir()
    turns += [NOT_EMPTY, NOT_EMPTY, lambda path: left.rmdir()]
    NamespaceSandbox(tmp_path / "work").remove(left)
    assert not left.exists() and len(directories) == 3


def test_removal_that_fails_three_times_is_an_error(tmp_path, tools):
    directories, turns = tools
    turns += [NOT_EMPTY] * 3
    with pytest.raises(Retryable, match="not empty"):
        NamespaceSandbox(tmp_path / "work").remove(tmp_path)
    assert len(directories) == 3


def test_side_directory_is_in_memory_when_the_disk_is_full(tmp_path, tools):
    directories, turns = tools
    left = tmp_path / "job"
    left.mkdir()
    turns += [fail(OSError(errno.ENOSPC, "No space left on device")), lambda path: left.rmdir()]
    NamespaceSandbox(tmp_path / "work").remove(left)
    assert directories == [tmp_path / "work", scratch.memory_work_directory()]


def test_other_errors_of_a_removal_are_not_hidden(tmp_path, tools):
    _, turns = tools
    turns.append(fail(OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(OSError, match="Too many"):
        NamespaceSandbox(tmp_path / "work").remove(tmp_path)
