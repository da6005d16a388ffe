"""Datagrams that wake readers: who is woken, by what, and that nothing of it can fail a sender."""

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


def test_a_reader_that_waits_is_woken_by_what_is_sent_to_one_of_its_topics(reader, sender):
    woken = []
    thread = Thread(target=lambda: woken.append(reader.wait(LIMIT)))
    thread.start()
    sender.send(["cb.log", "cb.result"])
    thread.join(LIMIT)
    assert woken == [True]


def test_what_was_sent_before_the_wait_wakes_too(reader, sender):
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)


def test_a_reader_sleeps_on_when_other_topics_are_sent_to(reader, sender):
    sender.send(["cb.log", "cb.jobs"])
    assert not reader.wait(0.05)


def test_each_reader_is_woken(directory, reader, sender):
    other = WakeSocket(directory, ["cb.job"])
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    assert other.wait(LIMIT)
    other.close()


def test_a_reader_that_was_sent_more_than_the_kernel_keeps_is_woken_to_be_sure(reader, sender):
    for _ in range(100):
        sender.send(["cb.log"])
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)


def test_what_a_dead_reader_left_is_removed_and_disturbs_nobody(directory, reader, sender, monkeypatch):
    [alive] = directory.iterdir()
    monkeypatch.chdir(directory)  # an address has 107 bytes, which the path may not leave room for
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind("dead")
    assert len(list(directory.iterdir())) == 2

    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    assert list(directory.iterdir()) == [alive]


def test_a_reader_takes_its_socket_with_it(directory, reader):
    WakeSocket(directory, ["cb.job"]).close()
    assert len(list(directory.iterdir())) == 1


def test_a_sender_does_not_mind_that_the_directory_went_away(directory, reader, sender):
    for entry in directory.iterdir():
        entry.unlink()
    directory.rmdir()
    sender.send(["cb.job"])


def test_the_directory_may_be_deeper_than_the_address_of_a_socket_is_long(tmp_path):
    deep = tmp_path.joinpath(*["d" * 50] * 5)
    reader = WakeSocket(deep, ["cb.job"])
    sender = WakeSender(deep)
    sender.send(["cb.job"])
    assert reader.wait(LIMIT)
    reader.close()
    sender.close()


def test_a_directory_that_cannot_be_made_is_an_error_of_the_system(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        WakeSocket(tmp_path / "file" / "wake", ["cb.job"])
    with pytest.raises(OSError, match="absent"):
        WakeSender(tmp_path / "absent")
