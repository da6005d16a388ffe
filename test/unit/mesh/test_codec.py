"""Conversion of events to records and back: no field is lost, and a decode error names its cause."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_builder.mesh.codec import Undecodable, decode, encode
from cloud_builder.model.events import BuildRequested, InfoAsked, JobAssigned, LogAppended, RunnerSeen
from cloud_builder.ports.broker import OutgoingRecord, Partition, Record

TIMES = st.floats(min_value=0, max_value=4e9, allow_nan=False).map(lambda time: round(time, 6))
REQUESTS = st.builds(
    BuildRequested,
    source=st.text(),
    units=st.lists(st.text(), min_size=1).map(tuple),
    ref=st.text(),
    request_id=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,20}", fullmatch=True),
)
LOGS = st.builds(LogAppended, job_id=st.text(), attempt=st.integers(1, 9), offset=st.integers(0), text=st.text())
SEEN = st.builds(RunnerSeen, runner_id=st.text(), arch=st.text(), slots=st.integers(0, 9), started_at=TIMES, at=TIMES)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)
ASKED = st.builds(InfoAsked, query_id=st.text(), what=st.text(), args=st.dictionaries(st.text(), JSON))


def as_record(sent: OutgoingRecord, offset: int = 7) -> Record:
    return Record(Partition(sent.topic, 0), offset, sent.key, sent.value, sent.headers, timestamp=1.0)


def bare(value: bytes | None, topic: str = "cb.request", offset: int = 7, **headers: bytes) -> Record:
    return Record(Partition(topic, 0), offset, None, value, tuple(headers.items()), timestamp=5.0)


@given(payload=REQUESTS | LOGS | SEEN | ASKED, id=st.uuids().map(str), time=TIMES, source=st.text(min_size=1))
def test_decoded_event_equals_the_encoded_one(payload, id, time, source):
    event = decode(as_record(encode(payload, source=source, id=id, time=time)), "incarnation")

    assert event.payload == payload
    assert (event.id, event.source, event.type, event.version) == (id, source, payload.type, 1)
    assert event.time == pytest.approx(time, abs=2e-6)


def test_event_is_encoded_as_a_cloudevent_in_binary_mode():
    sent = encode(BuildRequested(source="s", all=True, request_id="r-1"), source="ci", id="e-1", time=0.0)

    assert (sent.topic, sent.key) == ("cb.request", b"r-1")
    assert dict(sent.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_type": b"build.requested",
        "ce_source": b"ci",
        "ce_time": b"1970-01-01T00:00:00.000000Z",
        "ce_dataschema": b"schemas/events/build.requested-1.json",
        "content-type": b"application/json",
    }


def test_plain_json_is_a_request_with_stable_ids():
    record = bare(b'{"source": "s", "units": ["packages/hello"]}')
    first, again, other = (
        decode(record, "incarnation"),
        decode(record, "incarnation"),
        decode(record._replace(offset=8), "incarnation"),
    )

    assert first == again
    assert first.payload.request_id.startswith("r-")
    assert first.time == 5.0
    assert first.id != other.id
    assert first.payload.request_id != other.payload.request_id
    assert decode(record, "another incarnation").id != first.id


def test_plain_json_keeps_the_request_id_of_the_client():
    assert (
        decode(bare(b'{"source": "s", "all": true, "request_id": "mine"}'), "incarnation").payload.request_id == "mine"
    )


def test_unknown_fields_are_ignored():
    assert decode(bare(b'{"source": "s", "all": true, "colour": "red"}'), "incarnation").payload.source == "s"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", "not valid JSON: EOF while parsing a value at line 1 column 0"),
        (b'{"source": ', "not valid JSON: EOF while parsing a value at line 1 column 11"),
        (b'{"source": "\xff"}', "not valid JSON: invalid unicode code point at line 1 column 13"),
        (b"\xff\xfe\x00", "not valid JSON: expected value at line 1 column 1"),
        (b"[" * 100_000, "recursion limit exceeded"),
        (b"[]", "should be an object"),
        (b"null", "should be an object"),
        (None, "no body"),
        (b'{"source": 1, "all": true}', "source: Input should be a valid string, not 1"),
        (b'{"sauce": "s", "all": true}', 'source: missing (is "sauce" meant to be it?)'),
        (b'{"source": "s"}', 'name the units to build in "units"'),
        (b'{"source": "s", "all": true, "request_id": "a b"}', "request_id: String should match"),
        (b'{"source": "s", "units": [1, 2, 3, 4, 5]}', "units.0: Input should be a valid string, not 1"),
    ],
)
def test_malformed_body_is_an_error_with_field_and_cause(value, expected):
    with pytest.raises(Undecodable) as caught:
        decode(bare(value), "incarnation")
    assert expected in str(caught.value)
    assert "\n  " not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ce_type": b"build.request"}, "Did you mean build.requested?"),
        ({"ce_type": b"job.assigned"}, "job.assigned does not belong on cb.request, only on cb.assignment"),
        ({"ce_type": None}, "header ce_type: missing"),
        ({"ce_id": None}, "header ce_id: missing"),
        ({"ce_id": b""}, "header ce_id: missing"),
        ({"ce_id": b"\xff"}, "header ce_id: not UTF-8"),
        ({"ce_specversion": b"0.3"}, "header ce_specversion: '0.3' is not known"),
        ({"ce_time": b"yesterday"}, "header ce_time: 'yesterday'"),
        ({"ce_dataschema": b"schemas/events/build.requested-2.json"}, "version 2 is not known, only 1"),
    ],
)
def test_wrong_header_is_an_error_with_its_name(changes, expected):
    sent = encode(BuildRequested(source="s", all=True), source="ci", id="e-1", time=0.0)
    headers = {name: value for name, value in (dict(sent.headers) | changes).items() if value is not None}
    with pytest.raises(Undecodable) as caught:
        decode(as_record(sent._replace(headers=tuple(headers.items()))), "incarnation")
    assert expected in str(caught.value)


def test_repeated_header_is_an_error():
    sent = encode(BuildRequested(source="s", all=True), source="ci", id="e-1", time=0.0)
    with pytest.raises(Undecodable, match="header ce_id: more than once"):
        decode(as_record(sent._replace(headers=(*sent.headers, ("ce_id", b"e-2")))), "incarnation")


def test_record_without_headers_is_read_only_on_cb_request():
    with pytest.raises(Undecodable, match=r"without headers only cb.request is read"):
        decode(bare(b"{}", topic="cb.job"), "incarnation")


def test_structured_mode_is_an_error_that_names_it():
    record = bare(b"{}")._replace(headers=(("content-type", b"application/cloudevents+json"),))
    with pytest.raises(Undecodable, match="structured CloudEvents"):
        decode(record, "incarnation")


def test_error_has_the_first_problems_and_counts_the_others():
    sent = OutgoingRecord("cb.assignment", b"k", b'{"kind": "boat"}', encode_headers(JobAssigned))
    with pytest.raises(Undecodable, match=r"job.assigned: .*missing.* and [0-9]+ more"):
        decode(as_record(sent), "incarnation")


def encode_headers(event):
    return (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"e"),
        ("ce_source", b"s"),
        ("ce_type", event.type.encode()),
    )
