"""The contract of a daemon's state, in memory and in a file."""

from __future__ import annotations

import os
import pickle
import signal
import sqlite3
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.adapters.memory.state import MemoryState
from cloud_builder.adapters.sqlite.state import SqliteState
from cloud_builder.errors import Rejected
from cloud_builder.ports.broker import OutgoingRecord, Partition
from cloud_builder.ports.state import Put

A, B = Partition("cb.job", 0), Partition("cb.job", 1)


@pytest.fixture(params=["memory", "file"])
def state(request, tmp_path):
    store = MemoryState() if request.param == "memory" else SqliteState(tmp_path / "deep" / "state.sqlite")
    yield store
    store.close()


def messages(number: int) -> list[OutgoingRecord]:
    return [OutgoingRecord("cb.job", b"k", f"m{index}".encode()) for index in range(number)]


def test_a_document_comes_back_as_it_was_put(state):
    body = {"text": "ä€\u0000\n", "list": [1, 2.5, None, True], "nested": {"a": {}}}
    state.put("jobs", "1", body)
    assert state.get("jobs", "1") == body
    assert state.get("jobs", "2") is None
    assert state.get("requests", "1") is None


def test_putting_again_replaces_body_parent_and_rank(state):
    state.put("jobs", "1", {"n": 1}, parent="a", rank=1)
    state.put("jobs", "1", {"n": 2}, parent="b", rank=2)
    assert list(state.find("jobs", parent="a")) == []
    assert list(state.find("jobs", parent="b", after=1)) == [("1", {"n": 2})]
    assert state.count("jobs") == 1


def test_deleting_is_done_once_or_more(state):
    state.put("jobs", "1", {})
    state.delete("jobs", "1")
    state.delete("jobs", "1")
    assert state.get("jobs", "1") is None


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ({}, ["c", "a", "b", "d"]),
        ({"newest": True}, ["d", "b", "a", "c"]),
        ({"parent": "p"}, ["a", "b"]),
        ({"parent": "p", "newest": True, "most": 1}, ["b"]),
        ({"after": 1.0}, ["a", "b", "d"]),
        ({"after": 1.0, "most": 2}, ["a", "b"]),
        ({"after": 2.0, "newest": True}, ["d"]),
        ({"before": 2.0}, ["c"]),
        ({"after": 1.0, "before": 3.0, "parent": "p"}, ["a", "b"]),
        ({"parent": "nobody"}, []),
        ({"most": 0}, []),
    ],
)
def test_documents_are_found_by_parent_in_the_order_of_rank_and_key(state, arguments, keys):
    for key, parent, rank in [("b", "p", 2.0), ("a", "p", 2.0), ("c", "q", 1.0), ("d", "q", 3.0)]:
        state.put("jobs", key, {"key": key}, parent=parent, rank=rank)
    state.put("others", "x", {}, parent="p")
    assert [key for key, _ in state.find("jobs", **arguments)] == keys


def test_what_was_found_may_be_changed_meanwhile(state):
    for number in range(10):
        state.put("jobs", str(number), {}, rank=number)
    for key, _ in state.find("jobs"):
        state.delete("jobs", key)
    assert state.count("jobs") == 0


def test_documents_are_counted_by_parent(state):
    state.put("jobs", "1", {}, parent="p")
    state.put("jobs", "2", {}, parent="q")
    assert (state.count("jobs"), state.count("jobs", parent="p"), state.count("none")) == (2, 1, 0)


def test_unindexed_documents_are_read_by_their_key_only(state):
    entry = "unindexed-x", "1"
    state.put(*entry, {"n": 1}, parent="p", rank=3.0)
    state.put("jobs", "1", {"n": 2})
    state.put(*entry, {"n": 3})
    assert (state.get(*entry), state.get_with_index(*entry)) == ({"n": 3}, Put(*entry, {"n": 3}))
    state.delete(*entry)
    assert (state.get(*entry), state.get("jobs", "1")) == (None, {"n": 2})


def test_exception_rolls_everything_back(state):
    state.put("jobs", "1", {"n": 1})
    with pytest.raises(ZeroDivisionError), state.transaction():
        state.put("jobs", "1", {"n": 2})
        state.put("jobs", "2", {})
        state.mark_seen(["e"], 1.0)
        state.save_positions("incarnation", {A: 5})
        state.outbox_add(messages(2))
        raise ZeroDivisionError
    assert state.get("jobs", "1") == {"n": 1}
    assert state.get("jobs", "2") is None
    assert state.seen_of(["e"]) == set()
    assert (state.positions("incarnation"), state.incarnation(), list(state.outbox(10))) == ({}, None, [])


def test_transaction_sees_its_own_changes(state):
    with state.transaction():
        state.put("jobs", "1", {"n": 1})
        state.mark_seen(["e"], 1.0)
        assert state.get("jobs", "1") == {"n": 1}
        assert state.seen_of(["e", "f"]) == {"e"}


def test_seen_events_are_pruned_by_age(state):
    for number in range(5):
        state.mark_seen([f"e{number}"], float(number))
    state.mark_seen(["e0"], 10.0)
    assert state.prune_seen(3.0) == 2
    assert state.seen_of([f"e{number}" for number in range(5)]) == {"e0", "e3", "e4"}


def test_seen_ids_are_found_by_prefix(state):
    state.mark_seen(["dead x/1", "dead y/2", "dead", "deaf", "c"], 1.0)
    assert state.seen_with_prefix("dead ") == {"dead x/1", "dead y/2"}
    assert state.seen_with_prefix("e") == set()


def test_positions_belong_to_one_incarnation_of_the_broker(state):
    assert state.incarnation() is None
    state.save_positions("one", {A: 5, B: 7})
    state.save_positions("one", {A: 6})
    state.save_positions("two", {})
    assert state.positions("one") == {A: 6, B: 7}
    assert state.positions("two") == {}
    assert state.incarnation() == "two"


def test_outbox_keeps_order_and_bytes_until_confirmed(state):
    record = OutgoingRecord("cb.job", None, b"\xff\x00", (("a", b"\xfe"), ("a", b""), ("ä", b"1")))
    numbers = [state.outbox_add(packet) for packet in ([record], messages(3), messages(1))]
    packets = state.outbox(10)
    assert [number for number, _ in packets] == numbers == sorted(numbers)
    assert packets[0][1] == [record]
    assert [message.value for message in packets[1][1]] == [b"m0", b"m1", b"m2"]
    assert [number for number, _ in state.outbox(1, after=numbers[0])] == [numbers[1]]
    state.outbox_confirm(numbers[1])
    assert [number for number, _ in state.outbox(10)] == [numbers[2]]


def test_packet_numbers_are_never_reused(state):
    state.outbox_add(messages(2))
    last = state.outbox(10)[-1][0]
    state.outbox_confirm(last)
    state.outbox_add(messages(1))
    assert state.outbox(10)[0][0] > last


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["put", "delete", "fail"]), st.integers(0, 9))))
def test_state_behaves_like_a_dictionary_with_transactions(steps):
    store, model = MemoryState(), {}
    for key, action, number in steps:
        try:
            with store.transaction():
                if action == "delete":
                    store.delete("c", key)
                else:
                    store.put("c", key, {"n": number}, rank=number)
                if action == "fail":
                    raise ZeroDivisionError
        except ZeroDivisionError:
            continue
        model.pop(key, None)
        if action == "put":
            model[key] = number
    found = [(key, body["n"]) for key, body in store.find("c")]
    store.close()
    assert found == sorted(model.items(), key=lambda item: (item[1], item[0]))


# --- files ------------------------------------------------------------------------------------------------------------


def test_file_keeps_documents_and_positions(tmp_path):
    path = tmp_path / "state.sqlite"
    first = SqliteState(path)
    first.put("jobs", "1", {"n": 1})
    first.save_positions("incarnation", {A: 5})
    first.close()
    second = SqliteState(path)
    assert second.get("jobs", "1") == {"n": 1}
    assert second.positions("incarnation") == {A: 5}
    second.close()


HOLDER = """
import sys, time
from cloud_builder.adapters.sqlite.state import SqliteState
state = SqliteState(sys.argv[1])
with state.transaction():
    state.put("jobs", "committed", {})
with state.transaction():
    state.put("jobs", "not committed", {})
    print("open", flush=True)
    time.sleep(60)
"""


def test_second_process_is_refused_until_the_first_is_killed(tmp_path):
    path = tmp_path / "state.sqlite"
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"open\n"
    with pytest.raises(Rejected, match=f"in use by process {holder.pid}"):
        SqliteState(path)
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    state = SqliteState(path)
    assert state.get("jobs", "committed") == {}
    assert state.get("jobs", "not committed") is None
    state.close()


def test_the_same_process_is_refused_too(tmp_path):
    state = SqliteState(tmp_path / "state.sqlite")
    with pytest.raises(Rejected, match="in use"):
        SqliteState(tmp_path / "state.sqlite")
    state.close()
    SqliteState(tmp_path / "state.sqlite").close()


def test_a_state_of_another_version_is_rejected(tmp_path):
    for version, message in ((3, "before 0.1.0"), (99, "a newer Cloud Builder")):
        file = tmp_path / f"{version}.sqlite"
        database = sqlite3.connect(file)
        database.execute(f"PRAGMA user_version = {version}")
        database.close()
        with pytest.raises(Rejected, match=message):
            SqliteState(file)


def test_packet_cannot_call_functions(tmp_path):
    state = SqliteState(tmp_path / "state.db")
    state.outbox_add(messages(1))
    state.close()
    database = sqlite3.connect(tmp_path / "state.db")
    database.execute("UPDATE outbox SET packet = ?", (pickle.dumps([os.getcwd]),))
    database.commit()
    database.close()
    state = SqliteState(tmp_path / "state.db")
    with pytest.raises(pickle.UnpicklingError, match=r"getcwd"):
        state.outbox(10)
    state.close()


def test_a_file_of_a_newer_version_is_left_alone(tmp_path):
    path = tmp_path / "state.sqlite"
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(Rejected, match="newer Cloud Builder"):
        SqliteState(path)


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "state.sqlite"
    path.write_bytes(b"no database at all, but longer than a header" * 100)
    with pytest.raises(Rejected, match=str(path)):
        SqliteState(path)


def test_a_tick_without_changes_writes_nothing(tmp_path):
    state = SqliteState(tmp_path / "state.sqlite")
    before = written(tmp_path)
    for _ in range(1000):
        with state.transaction():
            pass
    assert written(tmp_path) == before
    state.close()


def written(directory):
    """Size and time of change of all files."""
    stats = {file.name: file.stat() for file in directory.iterdir()}
    return {name: (stat.st_size, stat.st_mtime_ns) for name, stat in stats.items()}
