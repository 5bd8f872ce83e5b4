"""Check records: exchanges survive a round trip, and errors name the damaged line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.diagnosis_cases import diagnose
from support.synthetic_streams import (
    SSE_HEAD,
    Write,
    answer,
    block_buffer,
    chat_event,
    even_schedule,
    exchange,
    merged,
    timed_flush,
)
from undam.apis import APIS
from undam.errors import UsageError
from undam.record import (
    Ending,
    Exchange,
    Head,
    Http2Facts,
    Stamps,
    exchange_lines,
    read_check_record,
    read_record,
    record_lines,
)
from undam.timing import Arrival

NS = st.integers(0, (1 << 63) - 1)
# Generates text that redaction leaves unchanged; test_redact.py tests redaction.
WORD = st.text(st.characters(codec="utf-8", exclude_characters=":=@?&-_ "), max_size=20)
BODY = st.one_of(st.binary(max_size=60), WORD.map(str.encode)).filter(
    lambda body: not set(body) & set(b":=@?&-_ ")
)

HEADS = st.none() | st.builds(
    Head, st.integers(0, 999), WORD, st.lists(st.tuples(WORD, WORD), max_size=4).map(tuple)
)
ARRIVALS = st.builds(
    Arrival, at_ns=NS, data=BODY, late_ns=NS, wire_bytes=st.none() | st.integers(0, 10**9)
)
STAMPS = st.builds(
    Stamps,
    start_ns=NS,
    **{name: st.none() | NS for name in ("dns_ns", "connect_ns", "tls_ns", "sent_ns", "head_ns")},
)
HTTP2 = st.builds(
    Http2Facts,
    reset=st.sampled_from([None, "CANCEL", "INTERNAL_ERROR"]),
    goaway=st.sampled_from([None, "NO_ERROR", "ENHANCE_YOUR_CALM"]),
    send_stall_ns=NS,
)
EXCHANGES = st.builds(
    Exchange,
    hop=WORD,
    url=WORD,
    api=st.sampled_from([one.name for one in APIS]),
    stamps=STAMPS,
    head=HEADS,
    arrivals=st.lists(ARRIVALS, max_size=6).map(tuple),
    ending=st.sampled_from(list(Ending)),
    ended_ns=NS,
    clock=st.sampled_from(["kernel", "user"]),
    step_ns=st.integers(-(10**18), 10**18),
    error=st.none() | WORD,
    http2=st.none() | HTTP2,
    tls_issuer=st.none() | WORD,
    tls_expires_s=st.none() | st.integers(0, 10**12),
)


def _lines(*exchanges: Exchange) -> list[str]:
    return list(record_lines(exchanges, {"undam": "0.1.0"}))


@pytest.mark.seconds
@given(st.lists(EXCHANGES, max_size=3))
def test_round_trip(exchanges: list[Exchange]) -> None:
    lines = _lines(*exchanges)
    assert all(line.endswith("\n") and line.count("\n") == 1 and line.isascii() for line in lines)
    about, read = read_record(lines)
    assert about == {"schema": 1, "kind": "record", "undam": "0.1.0"}
    assert read == exchanges


@pytest.mark.parametrize(
    "original",
    [
        exchange(answer(even_schedule(25, 60))),
        exchange(merged(block_buffer(4096)(answer(even_schedule(25, 200)), 5275))),
        exchange(
            merged(timed_flush(200)(answer(even_schedule(25, 200)), 5275)), late_ns=60_000_000
        ),
        exchange(
            answer(even_schedule(25, 9))[:-1],
            ending=Ending.RESET,
            error="reset by peer",
            step_ns=-5,
        ),
        exchange(
            [Write(1, b"data: \xff\xfe\n\n"), Write(2, chat_event("ü")[:-2])], ending=Ending.CLOSED
        ),
        exchange([], head=None, ending=Ending.TIMEOUT),
        exchange(
            answer(even_schedule(25, 60)), head=replace(SSE_HEAD, http_version="1.0"), coded=True
        ),
    ],
)
def test_record_gives_the_same_findings(original: Exchange) -> None:
    _, (read,) = read_record(_lines(original))
    assert diagnose(read) == diagnose(original)


def test_redaction_does_not_change_the_findings() -> None:
    texts = [" tok", " sk-abcdefgh", " Bearer abc12345", " http://u:p@h/?key=abc", " hunter2"] * 40
    writes = answer(even_schedule(25, 200), texts)
    original = exchange(merged(block_buffer(4096)(writes, 5275)))
    lines = list(record_lines([original], {}, ["hunter2"]))
    for secret in ("sk-abcdefgh", "abc12345", "u:p", "key=abc", "hunter2"):
        assert secret not in "".join(lines)
    assert diagnose(read_record(lines)[1][0]) == diagnose(original)


def test_interleaved_exchanges_and_unknown_lines() -> None:
    one, two = exchange(answer(even_schedule(25, 3))), exchange([], head=None)
    head, *rest = _lines(one, two)
    starts = [line for line in rest if '"exchange": 1' in line]
    firsts = [line for line in rest if '"exchange": 0' in line]
    mixed = [head, firsts[0], *starts, '{"kind": "note", "of": "a later version"}\n', *firsts[1:]]
    assert read_record(mixed)[1] == [two, one]


START, ARRIVAL, END = 1, 2, -1


def _damaged(line: int, **changes: object) -> list[str]:
    """Return a record of one exchange with changed fields in one line; ``...`` removes a field."""
    lines = _lines(exchange(answer(even_schedule(25, 3))))
    row = json.loads(lines[line])
    for name, value in changes.items():
        if value is ...:
            del row[name]
        else:
            row[name] = value
    lines[line] = json.dumps(row)
    return lines


STAMPED = dict.fromkeys(("start_ns", "dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns"), 1)
HEAD = {"status": 200, "http_version": "1.1", "headers": []}


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (0, {"schema": 2}),
        (0, {"schema": True}),
        (0, {"kind": "bench"}),
        (0, {"kind": ...}),
        (START, {"exchange": "0"}),
        (START, {"exchange": [0]}),
        (START, {"kind": ["exchange"]}),
        (START, {"api": "unheard-of"}),
        (START, {"hop": 7}),
        (START, {"url": "\ud800"}),
        (START, {"stamps": None}),
        (START, {"stamps": STAMPED}),
        (START, {"stamps": {**STAMPED, "head_ns": 1.5}}),
        (START, {"stamps": {**STAMPED, "head_ns": None, "start_ns": None}}),
        (START, {"head": "HTTP/1.1 200"}),
        (START, {"head": {**HEAD, "headers": {}}}),
        (START, {"head": {**HEAD, "headers": [["a"]]}}),
        (START, {"head": {**HEAD, "headers": [[1, 2]]}}),
        (START, {"head": {**HEAD, "status": "200"}}),
        (ARRIVAL, {"exchange": 5}),
        (ARRIVAL, {"at_ns": True}),
        (ARRIVAL, {"at_ns": 1 << 63}),
        (ARRIVAL, {"at_ns": -1}),
        (ARRIVAL, {"at_ns": float("nan")}),
        (ARRIVAL, {"text": 5}),
        (ARRIVAL, {"text": "\udfff"}),
        (ARRIVAL, {"text": ...}),
        (ARRIVAL, {"text": ..., "base64": "a"}),
        (ARRIVAL, {"text": ..., "base64": "ä"}),
        (ARRIVAL, {"wire_bytes": "9"}),
        (ARRIVAL, {"late_ns": None}),
        (END, {"ending": "well"}),
        (END, {"error": 5}),
        (END, {"step_ns": -(1 << 63)}),
        (END, {"at_ns": ...}),
        (END, {"http2": "CANCEL"}),
        (END, {"http2": {"reset": 8}}),
        (END, {"http2": {"send_stall_ns": -1}}),
    ],
)
def test_an_exchange_ends_at_its_damaged_line(line: int, changes: dict[str, object]) -> None:
    lines = _damaged(line, **changes)
    number = range(1, len(lines) + 1)[line]
    if line in {0, START}:
        with pytest.raises(UsageError, match=rf"line {number} is (not a line|damaged)"):
            read_record(lines)
        return
    _, (read,), damage = read_check_record(lines)
    if changes.get("exchange") == 5:
        assert (damage.lines, read.ending) == (1, Ending.COMPLETE)
        return
    assert damage.first_line == number
    assert damage.lines == len(lines) - number + 1
    assert len(read.arrivals) == number - 3
    assert (read.ending, read.error) == (Ending.LIMIT, f"line {number} of the record is damaged")
    assert "UD607" in [one.code for one in diagnose(read)] or not read.arrivals


BROKEN = ["", "{", "null", "7", '"kind"', "[]", "[" * 100_000, "\0", "NaN", "\udcff"]


@pytest.mark.parametrize("text", BROKEN)
def test_error_names_a_first_line_that_is_not_a_header(text: str) -> None:
    with pytest.raises(UsageError, match=r"^line 1 is not a line"):
        read_record([text, *_lines(exchange(answer(even_schedule(25, 3))))])


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("at", [1, 2, 4])
def test_only_open_exchanges_end_at_a_line_that_cannot_be_parsed(text: str, at: int) -> None:
    lines = _lines(*[exchange(answer(even_schedule(25, 3)))] * 2)
    lines.insert(at, text)
    _, (first, second), damage = read_check_record(lines)
    assert damage.first_line == at + 1
    assert second.ending is Ending.COMPLETE
    assert first.ending is (Ending.COMPLETE if at == 1 else Ending.LIMIT)
    assert f"the first is line {at + 1} " in damage.text


def test_missing_lines_are_reported() -> None:
    lines = _lines(exchange(answer(even_schedule(25, 3))))
    with pytest.raises(UsageError, match="the record is empty"):
        read_record([])
    with pytest.raises(UsageError, match=r"^line 1 "):
        read_record(lines[1:])
    with pytest.raises(UsageError, match="no exchange in the record can be read; line 2 is"):
        read_record([lines[0], *lines[2:]])  # an arrival precedes the start of its exchange
    _, (cut,), damage = read_check_record(lines[:-1])
    assert cut.error == f"the record ends at line {len(lines) - 1}, within this exchange"
    assert damage.to_json() == {
        "lines": 1, "first_line": len(lines), "reason": "ValueError: exchange 0 has no end",
    }  # fmt: skip
    _, (twice,), damage = read_check_record([*lines[:2], lines[1]])
    assert "starts twice" in damage.reason
    assert twice.ended_ns == twice.stamps.start_ns


def test_illegal_fields_of_the_header_are_left_out() -> None:
    header, *rest = _lines(exchange(answer(even_schedule(25, 3))))
    odd = {"x": float("nan"), "y": [[]] * 3, "z": 10**30, "url": 5, "\ud800": 1, "deep": None}
    odd["deep"] = [[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]
    about, _, damage = read_check_record([json.dumps(json.loads(header) | odd), *rest])
    assert about["y"] == [[], [], []]
    assert not {"x", "z", "url", "\ud800", "deep"} & about.keys()
    assert (damage.lines, damage.first_line) == (5, 1)


def test_bodies_beyond_the_limits_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = _lines(exchange(answer(even_schedule(25, 9))))
    monkeypatch.setattr(exchange_lines, "MAX_RECORD_ITEMS", 4)
    _, (read,), damage = read_check_record(lines)
    assert len(read.arrivals) == 4
    assert "exceed the size limit" in damage.reason
    monkeypatch.setattr(exchange_lines, "MAX_RECORD_BYTES", 1)
    assert read_record(lines)[1][0].arrivals == ()


@pytest.mark.seconds
def test_the_reason_for_a_10_mb_line_is_short() -> None:
    big = _lines(exchange([Write(1, b"x" * 10_000_000)]))
    assert len(read_record(big)[1][0].arrivals[0].data) == 10_000_000
    with pytest.raises(UsageError) as not_json:
        read_record([big[0], "x" * 10_000_000])
    assert len(str(not_json.value)) < 250
    damage = read_check_record(_damaged(ARRIVAL, at_ns="x" * 10_000_000)).damage
    assert len(damage.text) < 250


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["kind", "exchange", "at_ns", "text", "x"]), inner)
    ),
    max_leaves=8,
)


@pytest.mark.seconds
@given(
    st.lists(
        st.one_of(
            JSON.map(json.dumps),
            st.text(max_size=30),
            st.fixed_dictionaries(
                {"kind": st.sampled_from(["exchange", "arrival", "end"]), "exchange": JSON}
            ).map(json.dumps),
        ),
        max_size=5,
    )
)
def test_random_lines_raise_only_usage_errors(lines: list[str]) -> None:
    for record in (lines, [*_lines(), *lines]):
        try:
            read_record(record)
        except UsageError as error:
            assert str(error).startswith(("line ", "the record ", "no exchange "))  # noqa: PT017


@pytest.mark.seconds
@given(st.data())
def test_record_with_one_random_field_is_analyzed_or_rejected(data: st.DataObject) -> None:
    lines = _lines(exchange(answer(even_schedule(25, 9))))
    at = data.draw(st.integers(0, len(lines) - 1))
    row = json.loads(lines[at])
    row[data.draw(st.sampled_from(sorted(row)))] = data.draw(JSON)
    lines[at] = json.dumps(row)
    try:
        _, read = read_record(lines)
    except UsageError as error:
        assert "line" in str(error)  # noqa: PT017
    else:
        for one in read:
            diagnose(one)


def test_the_size_on_the_wire_is_optional() -> None:
    arrivals = (Arrival(1, b"a"), Arrival(2, b"b", 0, 7))
    original = replace(exchange(answer(even_schedule(25, 1))), arrivals=arrivals)
    lines = [json.loads(one) for one in _lines(original)]
    assert [one.get("wire_bytes") for one in lines if one["kind"] == "arrival"] == [None, 7]
