"""Throughput of `undam.sse.Parser` and of httpx-sse, in events per second.

Both parse the same list of reads in the same process, in alternation, so that a change of the
machine's speed affects both. "Decoder" is httpx-sse's line and event decoder with an incremental
UTF-8 decoder, which is the minimum that a program needs. "EventSource" is the public API of
httpx-sse and includes httpx's response.
"""

from __future__ import annotations

import codecs
import gc
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version

import httpx
from httpx_sse import EventSource
from httpx_sse._decoders import SSEDecoder, SSELineDecoder

from bench.progress import Progress
from undam.sse import Parser
from undam.timing import median, quantile

ROUNDS = 15
EVENTS = 10_000

_CHAT = (
    b'data: {"id":"chatcmpl-7f3a","object":"chat.completion.chunk","created":1790000000,'
    b'"model":"m-8b","choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]}\n\n'
)
_MESSAGES = (
    b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
    b'"delta":{"type":"text_delta","text":" token"}}\n\n'
)
_SEGMENT_BYTES = 1448
_LARGE_BYTES = 65_536

# Name, one event, bytes per read (0 means one event per read), goal for the ratio to httpx-sse.
_CASES = (
    ("one event per read", _CHAT, 0, 1.3),
    ("64 KB reads", _CHAT, _LARGE_BYTES, 1.5),
    ("1448-byte reads", _CHAT, _SEGMENT_BYTES, None),
    ("one event per read, CRLF", _CHAT.replace(b"\n", b"\r\n"), 0, None),
    ("one named event per read", _MESSAGES, 0, None),
    ("named events, 64 KB reads", _MESSAGES, _LARGE_BYTES, None),
)


def run() -> list[str]:
    """Return one line per case, with the medians and the quartiles of the ratios."""
    peers = f"httpx-sse {version('httpx-sse')}, httpx {version('httpx')}"
    sizes = f"events of {len(_CHAT)} bytes ({len(_MESSAGES)} with a name)"
    lines = [f"{peers}; {sizes}, {ROUNDS} alternating rounds of {EVENTS} events"]
    progress = Progress(len(_CASES))
    for name, event, read_bytes, goal in _CASES:
        reads = _split(event, read_bytes)
        ours, decoder, source = _measure(reads, [_undam, _httpx_sse_decoder, _event_source])
        met = "" if goal is None else f", {_compared_with_goal(ours, decoder, goal)}"
        lines.append(
            f"{name}: undam {median(ours):,.0f} events/s;"
            f" {_ratio(ours, decoder)} the decoder ({median(decoder):,.0f}){met};"
            f" {_ratio(ours, source)} EventSource ({median(source):,.0f})"
        )
        progress.finish_round(f"{name}, {median(ours):,.0f} events/s")
    return lines


def _split(event: bytes, read_bytes: int) -> list[bytes]:
    stream, step = event * EVENTS, read_bytes or len(event)
    return [stream[at : at + step] for at in range(0, len(stream), step)]


def _undam(reads: Sequence[bytes]) -> int:
    parser, count = Parser(), 0
    for read in reads:
        for _event in parser.receive_data(read):
            count += 1
    return count


def _httpx_sse_decoder(reads: Sequence[bytes]) -> int:
    text = codecs.getincrementaldecoder("utf-8")("replace")
    lines, events, count = SSELineDecoder(), SSEDecoder(), 0
    for read in reads:
        for line in lines.decode(text.decode(read)):
            if events.decode(line.rstrip("\n")) is not None:
                count += 1
    return count


class _Reads(httpx.SyncByteStream):
    def __init__(self, reads: Sequence[bytes]) -> None:
        self._reads = reads

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._reads)


def _event_source(reads: Sequence[bytes]) -> int:
    response = httpx.Response(
        200, headers={"content-type": "text/event-stream"}, stream=_Reads(reads)
    )
    count = 0
    for _event in EventSource(response).iter_sse():
        count += 1
    return count


def _measure(
    reads: Sequence[bytes], readers: Sequence[Callable[[Sequence[bytes]], int]]
) -> list[list[float]]:
    """Return the events per second for each reader in each round."""
    rates: list[list[float]] = [[] for _ in readers]
    for number in range(ROUNDS + 1):
        for reader, results in zip(readers, rates, strict=True):
            gc.collect()
            start = time.perf_counter()
            count = reader(reads)
            seconds = time.perf_counter() - start
            if count != EVENTS:
                raise AssertionError(f"{reader.__name__} parsed {count} of {EVENTS} events")
            if number:  # The first round is warm-up.
                results.append(count / seconds)
    return rates


def _ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    return sorted(mine / other for mine, other in zip(ours, theirs, strict=True))


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> str:
    ratios = _ratios(ours, theirs)
    low, high = quantile(ratios, 0.25), quantile(ratios, 0.75)
    return f"{median(ratios):.2f}x ({low:.2f} to {high:.2f})"


def _compared_with_goal(ours: Sequence[float], theirs: Sequence[float], goal: float) -> str:
    is_met = median(_ratios(ours, theirs)) >= goal
    return f"{'at least' if is_met else 'BELOW'} {goal}x"
