"""Numbered text: round trips, damaged pieces, and beacon queries in request bodies."""

from __future__ import annotations

import json

import pytest

from undam.errors import RemoteProtocolError
from undam.timing import BeaconQuery, BeaconSchedule
from undam.timing.numbered_text import (
    NUMBERED,
    TEXTS,
    answer_tag,
    encode_clock,
    encode_piece,
    format_word,
    fragments_in,
    is_divided,
    parse_clock,
    pieces_in,
    query_in_body,
)

DUE = 1_790_000_000_000_000_000
TAG = answer_tag("exchange-1")
ANSWER = [encode_piece(seq, 30, DUE + seq, TAG) for seq in range(30)]


def test_pieces_survive_any_division_and_any_text_between_them() -> None:
    found = list(pieces_in(" ".join(["<b>", *ANSWER, "[u7 is not a piece]"])))
    assert [piece.seq for piece in found] == list(range(30))
    assert all(piece.whole and piece.total == 30 and piece.answer == TAG for piece in found)
    assert [piece.due_ns - DUE for piece in found] == list(range(30))
    assert fragments_in("".join(ANSWER)) == 0


@pytest.mark.parametrize("text", TEXTS)
def test_texts_need_no_escaping(text: str) -> None:
    assert json.dumps(text, ensure_ascii=False) == f'"{text}"'
    assert not set(text) & set("[]:\n\r")


def test_every_text_is_divided_somewhere() -> None:
    divided = {TEXTS[seq % len(TEXTS)] for seq in range(30) if is_divided(seq)}
    assert divided == {text for text in TEXTS if not text.replace("\u2028", "").isascii()}


@pytest.mark.parametrize(("seq", "cut"), [(1, 1), (3, 2), (5, 1), (9, 3)])
def test_a_damaged_text_fails_its_checksum(seq: int, cut: int) -> None:
    start = ANSWER[seq].index(":") + 1
    (piece,) = pieces_in(ANSWER[seq][:start] + ANSWER[seq][start + cut :])
    assert (piece.seq, piece.whole) == (seq, False)
    torn = ANSWER[seq].encode().decode("ascii", "replace")
    assert [one.whole for one in pieces_in(torn)] == [False]


def test_a_changed_number_fails_the_checksum() -> None:
    (piece,) = pieces_in(ANSWER[3].replace("[u3/", "[u4/"))
    assert (piece.seq, piece.whole) == (4, False)


def test_a_damaged_stamp_leaves_a_fragment() -> None:
    damaged = ANSWER[3].replace(".", ",")
    text = ANSWER[2] + damaged + ANSWER[4]
    assert [piece.seq for piece in pieces_in(text)] == [2, 4]
    assert fragments_in(text) == 1


def test_lone_surrogates_do_not_raise() -> None:
    (piece,) = pieces_in(ANSWER[1].replace("漢", "\ud83d"))
    assert not piece.whole


def test_clock() -> None:
    text = f"Sure! {encode_clock(DUE, DUE + 5, 'h-1_A')} Anything else?"
    assert parse_clock(text) == (DUE, DUE + 5, "h-1_A")
    assert parse_clock("[clock now]") is None


@pytest.mark.parametrize(
    ("body", "query"),
    [
        (b'{"messages":[{"role":"user","content":"Hello"}]}', None),
        (b"", None),
        (b'{"model":"undam-beacon"}', NUMBERED),
        (b'{"model":"undam-beacon[clock]","prompt":"x"}', BeaconQuery("clock")),
        (b'{"message":"Hi undam-beacon[schedule; numbered=1]"}', NUMBERED),
        (b"undam-beacon[clock] then undam-beacon", NUMBERED),
        (b"undam-beacon then undam-beacon[clock]", BeaconQuery("clock")),
        (
            b"q=undam-beacon[schedule; before=3]",
            BeaconQuery("schedule", "", BeaconSchedule(before=3)),
        ),
    ],
)
def test_query_in_a_body(body: bytes, query: BeaconQuery | None) -> None:
    assert query_in_body(body) == query


@pytest.mark.parametrize("body", [b"undam-beacon[nonsense]", "undam-beacon[clöck]".encode()])
def test_an_invalid_query_is_rejected(body: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        query_in_body(body)


def test_the_word_survives_json() -> None:
    body = json.dumps({"prompt": f"Hi {format_word('schedule; numbered=1')}"}).encode()
    assert query_in_body(body) == NUMBERED
