"""Content faults in a response: lost numbers, damaged characters, and damaged beacon text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence

import pytest

from support.lossy_relay import RELAYS, numbered_events, positions
from undam.loadtest.analysis.response_analyzer import (
    ApiContext,
    EndCause,
    RequestEnd,
    ResponseAnalyzer,
)
from undam.record.request_result import IntegrityCounts, RequestResult
from undam.timing.numbered_text import encode_piece

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream%s\r\n\r\n"
DONE = b"data: [DONE]\n\n"
WORDS = ("one ", "two ", "größe ", "漢字 ", "three ")


def chat(text: str, **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}}
    payload = json.dumps({"choices": [choice], **more}, ensure_ascii=False)
    return f"data: {payload}\n\n".encode()


def plain(number: int) -> bytes:
    return chat(WORDS[number % len(WORDS)])


def stamped(number: int) -> bytes:
    return chat(WORDS[number % len(WORDS)], undam={"seq": number, "due_ns": 10**18 + number})


def sequenced(number: int) -> bytes:
    kind = "response.output_text.delta"
    payload = {"type": kind, "sequence_number": number, "delta": WORDS[number % len(WORDS)]}
    return f"event: {kind}\ndata: {json.dumps(payload)}\n\n".encode()


def with_id(number: int) -> bytes:
    return b"id: answer-%d\n" % number + plain(number)


def piece(number: int) -> bytes:
    return chat(encode_piece(number, 20, 10**18, "ab12"))


def analyzed(context: ApiContext, *reads: bytes, charset: bytes = b"") -> RequestResult:
    analyzer = ResponseAnalyzer(context)
    for index, data in enumerate((HEAD % charset, *reads)):
        analyzer.receive((index, 0, 0, data))
    end = RequestEnd(
        number=0, worker=0, warmup=False, intended_ns=0, started_ns=0, ended_ns=9,
        cause=EndCause.CLOSED,
    )  # fmt: skip
    return analyzer.finish(end)


def counts_of(
    make: Callable[[int], bytes], order: Sequence[int], api: str = "openai-chat"
) -> IntegrityCounts | None:
    """Return the event counts of a response, after other responses have created the templates."""
    context = ApiContext(api)
    for _ in range(2):
        intact = analyzed(context, *map(make, range(20)), DONE)
    assert not intact.integrity or not intact.integrity.faults
    assert analyzed(context, *map(make, range(5)), DONE).kind in {"", "no-end"}
    return analyzed(context, *map(make, order), DONE).integrity


NUMBERED = [
    pytest.param(stamped, "openai-chat", "stamps", id="beacon"),
    pytest.param(sequenced, "openai-responses", "sequence-numbers", id="responses"),
    pytest.param(with_id, "openai-chat", "event-ids", id="ids"),
    pytest.param(piece, "openai-chat", "numbered-text", id="pieces"),
]


@pytest.mark.parametrize(("make", "api", "evidence"), NUMBERED)
def test_lost_doubled_and_swapped_events(
    make: Callable[[int], bytes], api: str, evidence: str
) -> None:
    whole = list(range(20))
    expected: list[tuple[list[int], dict[str, int], str]] = [
        (whole, {}, ""),
        ([n for n in whole if n not in {7, 8}], {"lost": 2}, "event 7"),
        (sorted([*whole, 4]), {"duplicated": 1}, "event 4"),
        ([*whole[:9], 10, 9, *whole[11:]], {"reordered": 1}, "event 9"),
    ]
    for order, faults, first in expected:
        counts = counts_of(make, order, api)
        assert counts is not None
        assert counts.evidence == evidence
        assert (counts.faults, counts.events) == (faults, 20)
        assert [place for _, place in counts.first] == ([first] if first else [])


def test_events_without_numbers_are_not_checked() -> None:
    assert counts_of(plain, [0, 1, 2, 2, 7, 6]) is None


def test_altered_and_mixed_pieces() -> None:
    context = ApiContext("openai-chat")
    pieces = [piece(number) for number in range(20)]
    pieces[3] = pieces[3].replace(b"ab12", b"ff00", 1)
    pieces[7] = chat(encode_piece(7, 20, 10**18, "ffff"))
    counts = analyzed(context, *pieces, DONE).integrity
    assert counts is not None
    assert counts.faults == {"altered": 1, "mixed": 1}
    # If a response is incomplete, the missing end does not count as lost events.
    counts = analyzed(context, *map(piece, range(12))).integrity
    assert counts is not None
    assert counts.faults == {}


def test_numbers_are_found_at_any_split_of_the_reads() -> None:
    context, rng = ApiContext("openai-chat"), random.Random(5)
    body = b"".join(map(stamped, [n for n in range(40) if n != 21])) + DONE
    for _ in range(50):
        cuts = sorted(rng.sample(range(1, len(body)), 12))
        reads = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        counts = analyzed(context, *reads).integrity
        assert counts is not None
        assert (counts.faults, counts.first) == ({"lost": 1}, (("lost", "event 21"),))


@pytest.mark.parametrize(
    ("text", "torn"),
    [
        ("gr\ufffd\ufffdße", 1), ("\ufffd", 1), ("\\ufffd", 1), ("\\ud83d", 1),
        ("the character '\ufffd' is", 0), ("U+FFFD is \ufffd", 0), ("größe 漢字 👩", 0),
        ("see [undam](x) and [u2]", 0), ("\\ud83d\\ude00", 0),
    ],
)  # fmt: skip
def test_damaged_characters(text: str, torn: int) -> None:
    context = ApiContext("openai-chat")
    for _ in range(2):
        analyzed(context, *map(plain, range(10)), DONE)
    event = chat("X").replace(b"X", text.encode())
    for cut in range(0, len(event), 5):
        reads = (plain(0), event[:cut], event[cut:] + plain(1), DONE)
        counts = analyzed(context, *[read for read in reads if read]).integrity
        assert (0 if counts is None else counts.torn) == torn, cut


def test_bytes_that_are_not_utf_8() -> None:
    context = ApiContext("openai-chat")
    event = chat("X").replace(b"X", "größe".encode("latin-1"))
    counts = analyzed(context, plain(0), event, DONE).integrity
    assert counts is not None
    assert (counts.evidence, counts.faults) == ("events", {"torn": 1})
    coded = analyzed(context, plain(0), event, DONE, charset=b"; charset=iso-8859-1")
    assert coded.integrity is None


def test_every_lossy_relay_is_found_with_a_beacon() -> None:
    context, rng = ApiContext("openai-chat"), random.Random(7)
    missed = []
    for seed in range(10):
        events = numbered_events(60, ident=f"answer {seed}")
        clean = analyzed(context, *events).integrity
        assert clean is not None
        assert clean.faults == {}
        for name, (damage, kind) in RELAYS.items():
            at = positions(rng, 60, (0.1, 0.005)[seed % 2], torn=kind == "torn")
            counts = analyzed(context, *damage(events, at)).integrity
            assert counts is not None
            if kind not in counts.faults:
                missed.append((seed, name, counts.faults))
    assert missed == []
