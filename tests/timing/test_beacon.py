"""What a beacon and a probe say to each other, and that no header breaks either."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.timing import BeaconHead, BeaconQuestion, BeaconSchedule, Due, due_of
from undam.timing.beacon import HEADER, format_head, format_question, parse_head, parse_question

_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
_NUMBERS = st.integers(0, 10**20 - 1)
_SCHEDULES = st.builds(
    BeaconSchedule, **{field.name: st.none() | _NUMBERS for field in fields(BeaconSchedule)}
)
_QUESTIONS = st.one_of(
    st.just(BeaconQuestion("clock")),
    st.builds(BeaconQuestion, st.just("closed"), _IDS),
    st.builds(BeaconQuestion, st.just("schedule"), st.just("") | _IDS, _SCHEDULES),
)


class TestHead:
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
    def test_anything_else_is_none(self, value: str) -> None:
        assert parse_head(value) is None

    @given(st.text())
    def test_every_text_is_read(self, value: str) -> None:
        for text in (value, f"id={value}; arrived=7; host=h", f"id=a; arrived={value}; host=h"):
            head = parse_head(text)
            assert head is None or parse_head(format_head(head)) == head


class TestQuestion:
    @given(_QUESTIONS)
    def test_round_trip(self, question: BeaconQuestion) -> None:
        assert parse_question(format_question(question)) == question

    def test_form(self) -> None:
        schedule = BeaconSchedule(silence_ms=3000, heartbeat_ms=0)
        question = BeaconQuestion("schedule", schedule=schedule)
        assert format_question(question) == "schedule; silence_ms=3000; heartbeat_ms=0"
        assert parse_question("schedule;heartbeat_ms = 0 ; ; silence_ms=3000") == question
        assert parse_question(" clock ") == BeaconQuestion("clock")

    @pytest.mark.parametrize(
        ("value", "said"),
        [
            ("", "unknown question ''"),
            ("open", "unknown question 'open'"),
            ("Clock", "unknown question 'Clock'"),
            ("x" * 999, f"unknown question '{'x' * 40}'"),
            ("closed", "'closed' needs an id"),
            ("closed; id=", "'closed' needs an id"),
            ("closed; id=a/b", "'closed' needs an id"),
            ("schedule; id=a b", "'schedule' needs an id"),
            ("schedule; gap_ms", "cannot use gap_ms=''"),
            ("schedule; gap_ms=-1", "cannot use gap_ms='-1'"),
            ("schedule; gap_ms=1.5", "cannot use gap_ms='1.5'"),
            ("schedule; gap_ms=²", "cannot use gap_ms='²'"),
            ("schedule; tempo=1", "cannot use tempo='1'"),
            ("schedule; gap_ms=" + "9" * 10_000, f"cannot use gap_ms='{'9' * 40}'"),
            ("schedule; __class__=1", "cannot use __class__='1'"),
        ],
    )
    def test_what_cannot_be_used(self, value: str, said: str) -> None:
        with pytest.raises(RemoteProtocolError) as caught:
            parse_question(value)
        assert str(caught.value) == f"{HEADER}: {said}"

    @given(
        st.text(), st.sampled_from(["", "clock;", "closed; id=", "schedule;", "schedule; gap_ms="])
    )
    def test_every_text_is_read_or_refused(self, value: str, start: str) -> None:
        try:
            kind = parse_question(start + value).kind
        except RemoteProtocolError:
            kind = "clock"
        assert kind in {"clock", "closed", "schedule"}


class TestDue:
    @given(st.integers(0), st.integers())
    def test_of_an_event(self, seq: int, due_ns: int) -> None:
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
            {"undam": {"seq": "1", "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": "2"}},
            {"undam": {"seq": 1.0, "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": 2.0}},
            {"undam": {"seq": True, "due_ns": 2}},
            {"undam": {"seq": 1, "due_ns": False}},
            {"undam": {"seq": -1, "due_ns": 2}},
        ],
    )
    def test_of_anything_else(self, payload: object) -> None:
        assert due_of(payload) is None
