"""Masked exchanges contain no text, but have the same sizes, times and verdicts."""

from __future__ import annotations

from support.synthetic_streams import answer, block_buffer, even_schedule, exchange
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.shape import classify_pattern
from undam.tap.mask import masked


def test_a_masked_exchange_has_the_same_verdict_and_block_size_without_its_text() -> None:
    due = even_schedule(25, 120)
    reading = read_exchange(exchange(block_buffer(1024)(answer(due), due[-1])))
    hidden = masked(reading)
    again = read_exchange(hidden)
    assert classify_pattern(again).verdict is classify_pattern(reading).verdict
    assert classify_pattern(again).release_bytes == classify_pattern(reading).release_bytes
    # The end of an event within a read is estimated, so one event can move to a neighbouring read.
    moved = [a.at_ns != b.at_ns for a, b in zip(again.contents, reading.contents, strict=True)]
    assert sum(moved) <= 1
    text = "".join(item.text for item in again.contents)
    assert set(text) == {"x"}
    sizes = [len(one.data) for one in hidden.arrivals]
    assert sizes == [len(one.data) for one in reading.exchange.arrivals]
