"""Datagrams wake the readers of their topics, and never fail a sender."""

from __future__ import annotations

import socket
from pathlib import Path
from threading import Thread

import pytest

from cloud_builder.adapters.kafka.wake_socket import WakeSender, WakeSocket
from support.waiting import LIMIT


@pytest.fixture
def directory(tmp_path) -> Path:
    return tmp_path / "wake"


@pytest.fixture
def reader(directory):
    found = WakeSocket(directory, ["cb.job", "cb.result"])
    yield found
    found.close()


@pytest.fixture
def sender(directory, reader):
    found = WakeSender(directory)
    yield found
    found.close()


def test_waiting_reader_is_woken_by_a_send_to_one_of_its_topics(reader, sender):
    woken = []
    thread = Thread(target=lambda: woken.append(reader.wait(LIMIT)))
    thread.start()
    sender.send(["cb.log", "cb.result"])
    thread.join(LIMIT)
    assert woken == [True]


def test_send_before_the_wait_wakes_the_reader(reader, sender):
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)


def test_send_to_another_topic_wakes_no_reader(reader, sender):
    sender.send(["cb.log", "cb.jobs"])
    assert not reader.wait(0.05)


def test_each_reader_is_woken(directory, reader, sender):
    other = WakeSocket(directory, ["cb.job"])
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    assert other.wait(LIMIT)
    other.close()


def test_reader_is_woken_when_datagrams_may_be_lost(reader, sender):
    for _ in range(100):
        sender.send(["cb.log"])
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)


def test_socket_of_a_dead_reader_is_removed(directory, reader, sender, monkeypatch):
    [alive] = directory.iterdir()
    monkeypatch.chdir(directory)  # a socket address has 107 bytes: too few for a long path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind("dead")
    assert len(list(directory.iterdir())) == 2

    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    assert list(directory.iterdir()) == [alive]


def test_close_removes_the_socket(directory, reader):
    WakeSocket(directory, ["cb.job"]).close()
    assert len(list(directory.iterdir())) == 1


def test_send_without_the_directory_raises_nothing(directory, reader, sender):
    for entry in directory.iterdir():
        entry.unlink()
    directory.rmdir()
    sender.send(["cb.job"])


def test_directory_may_be_longer_than_a_socket_address(tmp_path):
    deep = tmp_path.joinpath(*["d" * 50] * 5)
    reader = WakeSocket(deep, ["cb.job"])
    sender = WakeSender(deep)
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    reader.close()
    sender.close()


def test_directory_that_cannot_be_made_raises_oserror(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        WakeSocket(tmp_path / "file" / "wake", ["cb.job"])
    with pytest.raises(OSError, match="absent"):
        WakeSender(tmp_path / "absent")
