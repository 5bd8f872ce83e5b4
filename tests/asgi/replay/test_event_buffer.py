"""The event buffer for replays: size limits and event IDs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.asgi.replay.event_buffer import Bounds, EventBuffer, new_epoch
from undam.asgi.replay.interface import ReplayGap

EPOCH = "0123456789abcdef01234567"


def _ring(max_events: int = 3, max_bytes: int = 100, *, filled: int = 0) -> EventBuffer:
    buffer = EventBuffer(EPOCH, Bounds(max_events, max_bytes))
    for number in range(1, filled + 1):
        assert buffer.append(b"%d" % number) == number
    return buffer


def test_the_newest_events_are_stored_by_number() -> None:
    buffer = _ring(filled=5)
    assert (buffer.first, buffer.last) == (3, 5)
    assert [buffer.event(n) for n in (3, 4, 5)] == [b"3", b"4", b"5"]


def test_an_empty_buffer_starts_at_one() -> None:
    assert (_ring().first, _ring().last) == (1, 0)


def test_the_newest_event_is_stored_whatever_its_size() -> None:
    buffer = _ring(max_bytes=4, filled=2)
    assert buffer.append(b"x" * 1000) == 3
    assert (buffer.first, buffer.last) == (3, 3)
    buffer.append(b"y")
    assert (buffer.first, buffer.last) == (4, 4)


@given(
    st.integers(1, 5),
    st.integers(1, 30),
    st.lists(st.binary(max_size=12), max_size=40),
)
def test_the_buffer_uses_its_bounds_fully_and_never_exceeds_them(
    max_events: int, max_bytes: int, events: list[bytes]
) -> None:
    buffer, model = EventBuffer(EPOCH, Bounds(max_events, max_bytes)), list[bytes]()
    for count, data in enumerate(events, 1):
        model.append(data)
        while len(model) > max_events or (sum(map(len, model)) > max_bytes and len(model) > 1):
            model.pop(0)
        assert buffer.first_after(1, len(data)) == count - len(model) + 1
        assert buffer.append(data) == buffer.last == count
        assert [buffer.event(n) for n in range(buffer.first, count + 1)] == model


def test_an_id_maps_to_its_number_while_later_events_are_stored() -> None:
    buffer = _ring(filled=5)
    assert [buffer.number_of(buffer.ident(n)) for n in (2, 3, 4, 5)] == [2, 3, 4, 5]


@pytest.mark.parametrize("number", [1, 6, 999_999_999_999_999])
def test_a_dropped_or_unknown_id_is_a_gap(number: int) -> None:
    buffer = _ring(filled=5)
    with pytest.raises(ReplayGap):
        buffer.number_of(f"{EPOCH}:{number}")


@pytest.mark.parametrize(
    "ident",
    [
        "",
        "3",
        ":3",
        f"{EPOCH}",
        f"{EPOCH}:",
        f"{EPOCH}:0",
        f"{EPOCH}:03",
        f"{EPOCH}:+3",
        f"{EPOCH}:-3",
        f"{EPOCH}:3 ",
        f"{EPOCH}:3\n",
        f" {EPOCH}:3",
        f"{EPOCH}:3\0",
        f"{EPOCH}:\u0663",  # Arabic-Indic digit
        f"{EPOCH}:\uff13",  # full-width digit
        f"{EPOCH}:3:3",
        f"{EPOCH.upper()}:3",
        f"{EPOCH[::-1]}:3",  # ID of another stream
        "\ud800",
        "\U0001f680",
        f"{EPOCH}:" + "9" * 4000,
        "x" * 10_000,
        "\0" * 10_000,
    ],
    ids=lambda ident: repr(ident[:40]),
)
def test_any_other_text_is_a_gap(ident: str) -> None:
    with pytest.raises(ReplayGap):
        _ring(filled=5).number_of(ident)


@given(st.text())
def test_no_invalid_text_is_accepted_as_an_id(ident: str) -> None:
    buffer = _ring(filled=5)
    try:
        number = buffer.number_of(ident)
    except ReplayGap:
        return
    assert buffer.ident(number) == ident


def test_ids_of_two_runs_are_distinct() -> None:
    epochs = {new_epoch() for _ in range(1000)}
    assert len(epochs) == 1000
    one, other = _ring(filled=3), EventBuffer(new_epoch(), Bounds(3, 100))
    other.append(b"1")
    with pytest.raises(ReplayGap):
        other.number_of(one.ident(1))


def test_skipping_drops_all_earlier_events() -> None:
    buffer = _ring(filled=3)
    buffer.skip_to(7)
    assert (buffer.first, buffer.last) == (7, 6)
    assert buffer.number_of(buffer.ident(6)) == 6
    with pytest.raises(ReplayGap):
        buffer.number_of(buffer.ident(3))
    assert buffer.append(b"7") == 7
