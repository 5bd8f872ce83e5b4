"""Times and token counts of one request in a load test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from support.load_test_model import simulate
from undam.record import ContentRead, RequestResult

(ONE,) = simulate(1)
MS = 1_000_000


def result(*times_ms: float, events: int = 1, **more: Any) -> RequestResult:
    reads = tuple(ContentRead(ONE.intended_ns + round(at * MS), 0, 0, events) for at in times_ms)
    return replace(ONE, reads=reads, **{"tokens": None, **more})


def test_a_request_without_content_has_no_times() -> None:
    empty = result()
    assert (empty.events, empty.ttft_ns, empty.tpot_ns) == (0, None, None)


def test_a_request_that_was_not_sent_has_no_send_delay() -> None:
    assert result(started_ns=None).send_delay_ns is None


@pytest.mark.parametrize(
    ("given", "tpot_ms"),
    [
        (result(200, 220, 240), 20),
        (result(200, 220, 240, tokens=6), 10),
        (result(200, 240, events=4), 10),
        # All content arrived in one read.
        (result(200, events=9), None),
        # The clock was set back during the response.
        (result(200, 100), None),
    ],
)
def test_time_per_token(given: RequestResult, tpot_ms: float | None) -> None:
    assert given.tpot_ns == (None if tpot_ms is None else tpot_ms * MS)


def test_hidden_reasoning_tokens_were_not_streamed() -> None:
    times = result(200, 220, 240, tokens=103, reasoning_tokens=100)
    hidden = replace(times, answer_ns=times.reads[0].at_ns)
    assert hidden.tpot_ns == 20 * MS
    assert hidden.streamed_tokens == 3
    # Without an answer, the response consists of the streamed reasoning.
    for answer_ns in (times.reads[1].at_ns, None):
        streamed = replace(hidden, answer_ns=answer_ns)
        assert streamed.tpot_ns == pytest.approx(40 * MS / (103 * 2 / 3), abs=1)
    assert result(tokens=103, reasoning_tokens=100, answer_ns=1).streamed_tokens == 103
