"""Equal bodies are parsed only once, with the same result as if each were parsed separately."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import chat_events
from support.synthetic_streams import answer, even_schedule, exchange
from undam.diagnosis.reading import read_exchange
from undam.record import Ending, Exchange, Head
from undam.tap.shared_bodies import BodyReader
from undam.timing import Arrival

HEARTBEAT = b": keep-alive\n\n"
BODY = b"".join([*chat_events(6, "a"), HEARTBEAT, b"id: 7\ndata: x\ndata: y\n\n", b"\n\n",
                 *chat_events(2, "b"), b"data: [DONE]\n\n"])  # fmt: skip
LIKE = exchange(answer(even_schedule(25, 10)))


def divided(cuts: list[int], body: bytes = BODY) -> Exchange:
    bounds = [0, *sorted(min(one, len(body)) for one in cuts), len(body)]
    arrivals = tuple(
        Arrival(1000 * (number + 1), body[start:stop])
        for number, (start, stop) in enumerate(pairwise(bounds))
        if start < stop
    )
    return replace(LIKE, arrivals=arrivals, ended_ns=99_000)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.integers(0, len(BODY)), max_size=20),
    st.lists(st.integers(0, len(BODY)), max_size=20),
)
def test_any_division_into_reads_gives_the_same_reading(one: list[int], other: list[int]) -> None:
    reader = BodyReader()
    for cuts in (one, other):
        given = divided(cuts)
        found, expected = reader.read(given).reading, read_exchange(given)
        assert found.exchange == given
        contents = [(item.at_ns, item.read, item.meaning, item.id) for item in found.contents]
        assert contents == [
            (item.at_ns, item.read, item.meaning, item.id) for item in expected.contents
        ]
        assert [item.text for item in found.items] == [item.text for item in expected.items]
        assert found.announced_end == expected.announced_end
        # A comment is complete at the end of its line, before the blank line.
        assert all(a - b in {0, *range(14)} for a, b in zip(found.pending, expected.pending,
                                                            strict=True))  # fmt: skip


@pytest.mark.parametrize(
    "given",
    [
        divided([30], BODY[:-5]),
        divided([30], BODY.replace(b"\n", b"\r\n")),
        replace(divided([30]), ending=Ending.TRUNCATED),
        replace(divided([30]), head=Head(200, "1.1", ())),
        divided([], b'{"a":1}\n{"b":2}\n\n'),
    ],
)
def test_other_bodies_are_parsed_as_they_are(given: Exchange) -> None:
    assert BodyReader().read(given).reading == read_exchange(given)


def test_equal_bodies_of_another_api_are_parsed_again() -> None:
    reader = BodyReader()
    for api in ("openai-chat", "plain"):
        given = replace(divided([50, 300]), api=api)
        assert reader.read(given).reading.api == read_exchange(given).api
