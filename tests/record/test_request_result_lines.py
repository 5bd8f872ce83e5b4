"""Load-test records: round trips, a cut last line, and rejected input."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.load_test_model import simulate
from undam.errors import UsageError
from undam.metrics import summarize
from undam.record import (
    ContentRead,
    Outcome,
    RequestResult,
    header_line,
    read_record,
    read_request_results,
    request_result_line,
)
from undam.record.request_result import IntegrityCounts

NS = st.integers(0, (1 << 63) - 1)
# Generates text that redaction leaves unchanged.
WORD = st.text(st.characters(codec="utf-8", exclude_characters=":=@?&-_ "), max_size=20)
READS = st.builds(ContentRead, NS, NS, NS, st.integers(1, 10**6))
RESULTS = st.builds(
    RequestResult,
    **dict.fromkeys(("number", "worker", "intended_ns", "ended_ns"), NS),
    **dict.fromkeys(("empties", "heartbeats", "body_bytes"), NS),
    **{name: st.none() | NS for name in ("started_ns", "head_ns", "status", "tokens")},
    outcome=st.sampled_from(list(Outcome)),
    warmup=st.booleans(),
    stamped=st.booleans(),
    blurred=st.booleans(),
    kind=WORD,
    message=WORD,
    reads=st.lists(READS, max_size=4).map(tuple),
    retry_after_s=st.none() | st.floats(0, 1e9),
    integrity=st.sampled_from(
        [
            None, IntegrityCounts("stamps", 40),
            IntegrityCounts("events", torn=2, mixed=1, first=(("torn", "near"), ("mixed", "e"))),
        ]
    ),
)  # fmt: skip
HEADER = header_line({"command": "bench", "undam": "0.1.0"})
LINE = request_result_line(simulate(1)[0])


@pytest.mark.seconds
@given(st.lists(RESULTS, max_size=3))
def test_round_trip(results: list[RequestResult]) -> None:
    lines = [HEADER, *map(request_result_line, results)]
    assert all(line.endswith("\n") and line.count("\n") == 1 and line.isascii() for line in lines)
    about, read, truncated_lines, end, damage = read_request_results(lines)
    assert (end, damage.lines, damage.text) == (None, 0, "")
    assert about == {"schema": 1, "kind": "record", "command": "bench", "undam": "0.1.0"}
    assert (read, truncated_lines) == (results, 0)


def test_record_gives_the_metrics_of_the_run() -> None:
    results = simulate(30, per_write=3)
    read = read_request_results([HEADER, *map(request_result_line, results)]).results
    assert summarize(read).to_json() == summarize(results).to_json()


@pytest.mark.parametrize("end", [0, 1, 40, len(LINE) - 2])
def test_cut_last_line_is_counted(end: int) -> None:
    lines = [HEADER, LINE, *([LINE[:end]] if end else []), *([] if end else ["\n"])]
    record = read_request_results(lines)
    # An empty line counts as damaged; a line without a line feed was cut.
    assert (record.results, record.truncated_lines) == ([simulate(1)[0]], int(end > 0))
    assert record.damage.lines == int(end == 0)


def test_last_line_without_newline_is_read() -> None:
    assert read_request_results([HEADER, LINE.rstrip("\n")])[2] == 0


def test_lines_of_other_kinds_are_skipped() -> None:
    lines = [HEADER, LINE, '{"kind":"note"}\n']
    assert len(read_request_results(lines).results) == 1
    assert read_record(lines)[1] == []


def test_secrets_are_redacted() -> None:
    one = RequestResult(
        number=0, worker=0, intended_ns=1, ended_ns=2, outcome=Outcome.ERROR,
        kind="status-401", message="no key sk-abcdef123456 and none of hunter2-hunter2",
    )  # fmt: skip
    text = request_result_line(one, ["hunter2-hunter2"]) + header_line(
        {"url": "http://me:pass@host/?key=abcdefgh", "load": {"note": "hunter2-hunter2"}},
        ["hunter2-hunter2"],
    )
    for secret in ("sk-abc", "hunter2", "pass", "abcdefgh"):
        assert secret not in text


@pytest.mark.parametrize(
    ("line", "lines"),
    [
        (1, ["[]\n"]),
        (1, ['{"kind":"record","schema":2}\n']),
        (1, ["\x00\n"]),
        (2, [HEADER, "{\n", "[]\n"]),
        (2, [HEADER, "[" * 100_000 + "\n"]),
        (2, [HEADER, "{}\n"]),
    ],
)
def test_error_names_the_damaged_line(line: int, lines: list[str]) -> None:
    with pytest.raises(UsageError, match=f"^line {line} "):
        read_request_results(lines)


@pytest.mark.parametrize(
    "change",
    [
        {"number": -1},
        {"number": True},
        {"number": 1 << 63},
        {"number": 1.0},
        {"outcome": "fine"},
        {"outcome": 1},
        {"stamped": 1},
        {"blurred": "no"},
        {"integrity": {"evidence": "stamps", "events": -1, "first": {}}},
        {"integrity": []},
        {"failure": None},
        {"message": "\ud800"},
        {"retry_after_s": float("inf")},
        {"retry_after_s": -1},
        {"retry_after_s": True},
        {"retry_after_s": 1e300},
        {"reads": None},
        {"reads": [5]},
        {"reads": [[1, 2, 3]]},
        {"reads": [[1, 2, 3, 0]]},
        {"reads": [[-(1 << 62), 2, 3, 1]]},
        {"reads": [[1 << 63, 2, 3, 1]]},
    ],
)
def test_a_line_with_an_invalid_value_is_left_out(change: dict[str, Any]) -> None:
    row = json.loads(LINE) | change
    record = read_request_results([HEADER, LINE, json.dumps(row) + "\n", LINE])
    assert len(record.results) == 2
    assert (record.damage.lines, record.damage.first_line) == (1, 3)


LOST = {"worker": 1, "why": "killed", "at_s": 1.5, "missing_percent": 50, "measured": 3}


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("interrupted", True, True),
        ("interrupted", "yes", None),
        ("planned", 30, 30),
        ("planned", None, None),
        ("planned", "many", None),
        ("planned", float("nan"), None),
        ("missing_percent", float("inf"), None),
        ("missing_percent", 101, None),
        ("lost_workers", [LOST], [LOST]),
        ("lost_workers", [{**LOST, "worker": "x"}], None),
        ("lost_workers", [1, "x", None, {"worker": 1}], None),
        ("lost_workers", "abc", None),
        ("lost_workers", 5, None),
        ("lost_workers", [[[[[]]]]], None),
    ],
)
def test_fields_of_the_last_line_are_legal_or_left_out(
    name: str, value: object, read: object
) -> None:
    record = read_request_results([HEADER, LINE, json.dumps({"kind": "end", name: value}) + "\n"])
    assert record.end is not None
    assert record.end[name] == read
    assert record.damage.lines == int(read != value)


def test_empty_input_is_rejected() -> None:
    with pytest.raises(UsageError, match="empty"):
        read_request_results([])


@pytest.mark.parametrize(("workers", "read"), [(2, 2), (0, None), (10**9, None), (True, None)])
def test_the_number_of_workers_is_legal_or_left_out(workers: object, read: object) -> None:
    header = json.dumps({"schema": 1, "kind": "record", "command": "bench", "workers": workers})
    record = read_request_results([header + "\n", LINE])
    assert record.about.get("workers") == read
    assert record.damage.lines == int(read is None)
