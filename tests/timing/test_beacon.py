"""Beacon headers: round trips, and rejection of malformed values."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.json_values import MAX_INT
from undam.timing import BeaconHead, BeaconQuery, BeaconSchedule, Due, due_of
from undam.timing.beacon import HEADER, format_head, format_query, parse_head, parse_query

_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
_NUMBERS = st.integers(0, MAX_INT)
_SCHEDULES = st.builds(
    BeaconSchedule, **{field.name: st.none() | _NUMBERS for field in fields(BeaconSchedule)}
)
_QUERIES = st.one_of(
    st.just(BeaconQuery("clock")),
    st.builds(BeaconQuery, st.just("closed"), _IDS),
    st.builds(BeaconQuery, st.just("schedule"), st.just("") | _IDS, _SCHEDULES),
)


class TestHead:
    @pytest.mark.slow
    @given(st.builds(BeaconHead, _IDS, _NUMBERS, _IDS))
    def test_round_trip(self, head: BeaconHead) -> None:
        assert parse_head(format_head(head)) == head

    def test_form(self) -> None:
        assert format_head(BeaconHead("a1", 7, "h")) == "id=a1; arrived=7; host=h"
        assert parse_head(" host=h ;arrived = 7;; later=x; id=a1") == BeaconHead("a1", 7, "h")

    @pytest.mark.parametrize(
        "value",
        [
            "",
            ";",
            "id",
            "id=a; arrived=7",
            "id=a; host=h",
            "arrived=7; host=h",
            "id=; arrived=7; host=h",
            "id=a b; arrived=7; host=h",
            "id=ä; arrived=7; host=h",
            f"id={'a' * 65}; arrived=7; host=h",
            "id=a; arrived=; host=h",
            "id=a; arrived=-7; host=h",
            "id=a; arrived=+7; host=h",
            "id=a; arrived=7.0; host=h",
            "id=a; arrived=1_0; host=h",
            "id=a; arrived=²; host=h",
            "id=a; arrived=٣; host=h",
            f"id=a; arrived={'9' * 21}; host=h",
            f"id=a; arrived={'9' * 10_000}; host=h",
            "id=a; arrived=7; host=h/x",
        ],
    )
    def test_malformed_value_is_none(self, value: str) -> None:
        assert parse_head(value) is None

    @given(st.text())
    def test_any_text_is_accepted(self, value: str) -> None:
        for text in (value, f"id={value}; arrived=7; host=h", f"id=a; arrived={value}; host=h"):
            head = parse_head(text)
            assert head is None or parse_head(format_head(head)) == head


class TestQuery:
    @pytest.mark.seconds
    @given(_QUERIES)
    def test_round_trip(self, query: BeaconQuery) -> None:
        assert parse_query(format_query(query)) == query

    def test_form(self) -> None:
        schedule = BeaconSchedule(silence_ms=3000, heartbeat_ms=0)
        query = BeaconQuery("schedule", schedule=schedule)
        assert format_query(query) == "schedule; silence_ms=3000; heartbeat_ms=0"
        assert parse_query("schedule;heartbeat_ms = 0 ; ; silence_ms=3000") == query
        assert parse_query(" clock ") == BeaconQuery("clock")

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ("", "unknown query ''"),
            ("open", "unknown query 'open'"),
            ("Clock", "unknown query 'Clock'"),
            ("x" * 999, f"unknown query '{'x' * 40}'"),
            ("closed", "'closed' needs an id"),
            ("closed; id=", "'closed' needs an id"),
            ("closed; id=a/b", "'closed' needs an id"),
            ("schedule; id=a b", "'schedule' needs an id"),
            ("schedule; gap_ms", "invalid value gap_ms=''"),
            ("schedule; gap_ms=-1", "invalid value gap_ms='-1'"),
            ("schedule; gap_ms=1.5", "invalid value gap_ms='1.5'"),
            ("schedule; gap_ms=²", "invalid value gap_ms='²'"),
            ("schedule; tempo=1", "invalid value tempo='1'"),
            ("schedule; gap_ms=" + "9" * 10_000, f"invalid value gap_ms='{'9' * 40}'"),
            ("schedule; __class__=1", "invalid value __class__='1'"),
        ],
    )
    def test_malformed_value_is_rejected(self, value: str, message: str) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            parse_query(value)
        assert str(caught.value) == f"{HEADER}: {message}"

    @given(
        st.text(), st.sampled_from(["", "clock;", "closed; id=", "schedule;", "schedule; gap_ms="])
    )
    def test_any_text_is_parsed_or_rejected(self, value: str, start: str) -> None:
        try:
            kind = parse_query(start + value).kind
        except RemoteProtocolError:
            kind = "clock"
        assert kind in {"clock", "closed", "schedule"}


class TestDue:
    @given(_NUMBERS, _NUMBERS)
    def test_due_time_of_an_event(self, seq: int, due_ns: int) -> None:
        payload = json.loads(json.dumps({"undam": {"seq": seq, "due_ns": due_ns}, "choices": []}))
        assert due_of(payload) == Due(seq, due_ns)

    @pytest.mark.parametrize(
        "payload",
        [
            None,
            1,
            "undam",
            [],
            [{"undam": {"seq": 1, "due_ns": 2}}],
            {},
            {"undam": None},
            {"undam": [1, 2]},
            {"undam": {}},
            {"undam": {"seq": 1}},
            {"undam": {"due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": -1}},
            {"undam": {"seq": 1, "due_ns": 1 << 63}},
            {"undam": {"seq": 1 << 63, "due_ns": 1}},
            {"undam": {"seq": "1", "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": "2"}},
            {"undam": {"seq": 1.0, "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": 2.0}},
            {"undam": {"seq": True, "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": False}},
            {"undam": {"seq": -1, "due_ns": 2}},
        ],
    )
    def test_malformed_payload_has_no_due_time(self, payload: object) -> None:
        assert due_of(payload) is None
