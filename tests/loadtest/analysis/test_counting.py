"""Counting events with templates gives the same results as the parser, for any stream and split."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undam.apis import APIS, Kind, api_named
from undam.errors import RemoteProtocolError
from undam.framing import Framing
from undam.loadtest.analysis.counting import EventCounter
from undam.loadtest.analysis.template import TemplateSet
from undam.loadtest.protocol import MAX_EVENTS
from undam.sse import Comment, LineParser, Parser
from undam.work_budget import MAX_ITEMS

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

_texts = st.sampled_from(
    ["", "a", " tok", "[DONE]", "{", "0", '"', "\\", "é", "\u2028", "\x00", "stop", "error", "\n"]
)
_numbers = st.sampled_from([0, 1, 7, 1795342774442236017, -3, 1.5, 10**25])
_kinds = st.sampled_from(
    ["content_block_delta", "message_stop", "ping", "response.output_text.delta", "error", "x"]
)


@st.composite
def _payloads(draw: st.DrawFn) -> str:
    payload: dict[str, object] = {"id": draw(_texts), "seq": draw(_numbers)}
    form = draw(st.integers(0, 5))
    if form <= 2:
        delta = {draw(st.sampled_from(["content", "reasoning", "role"])): draw(_texts)}
        finish = draw(st.sampled_from([None, None, None, "stop", "length", ""]))
        payload["choices"] = [{"index": 0, "delta": delta, "finish_reason": finish}]
    elif form == 3:
        payload |= {"type": draw(_kinds), "delta": draw(st.sampled_from([{"text": "x"}, "y", ""]))}
    elif form == 4:
        payload |= {"error": draw(_texts), "choices": []}
    else:
        payload |= {"choices": [], "usage": {"completion_tokens": draw(_numbers)}}
    return json.dumps(payload, ensure_ascii=draw(st.booleans()))


@st.composite
def _blocks(draw: st.DrawFn) -> bytes:
    form = draw(st.integers(0, 19))
    rare = (
        b": ping\n\n", b"\n", b"data: {\n\n", b"data: [DONE]\n\n", b"data: a\ndata: b\n\n",
        b"id: 5\n", b"\xef\xbb\xbf", b'data: {"id": "\xff", "seq": 1}\n\n', b"data\n\n",
        b"event: ping\ndata: {}\n\n", b"\r\n",
    )  # fmt: skip
    if form < len(rare) and draw(st.booleans()):
        return rare[form]
    end = "\r\n" if form == 19 else "\n"
    name = f"event: {draw(_kinds)}{end}" if draw(st.integers(0, 3)) == 0 else ""
    return f"{name}data: {draw(_payloads())}{end}{end}".encode("utf-8", "surrogatepass")


@st.composite
def _streams(draw: st.DrawFn) -> list[bytes]:
    # Some blocks are repeated, because templates are learned from similar events.
    blocks = draw(st.lists(_blocks(), min_size=1, max_size=6))
    order = draw(st.lists(st.integers(0, len(blocks) - 1), max_size=16))
    data = b"".join(blocks[index] for index in order)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@dataclass
class _ReferenceCounter:
    """Counter without templates; each event passes through the parser and the API's reader."""

    form: Framing
    api: str
    counts: list[int] = field(default_factory=list)
    ends: bool = False
    tokens: int | None = None
    empties: int = 0
    heartbeats: int = 0
    error: str | None = None
    malformed: str | None = None

    def read_all(self, reads: Sequence[bytes]) -> int:
        parser: Parser | LineParser = Parser() if self.form == "sse" else LineParser()
        for data in reads:
            contents = 0
            for item in parser.receive_data(data):
                if isinstance(item, Comment):
                    self.heartbeats += 1
                else:
                    contents += self._note(item.event, item.data)
            self.counts.append(contents)
        return parser.pending_bytes

    def _note(self, event: str, data: str) -> bool:
        meaning = api_named(self.api).read(event, data)
        self.empties += meaning.kind is Kind.EMPTY
        self.heartbeats += meaning.kind is Kind.HEARTBEAT
        self.ends |= meaning.ends
        self.tokens = self.tokens if meaning.tokens is None else meaning.tokens
        if meaning.kind is Kind.ERROR and self.error is None:
            self.error = meaning.text
        if meaning.kind is Kind.MALFORMED and self.malformed is None:
            self.malformed = meaning.text
        return meaning.kind is Kind.CONTENT


@settings(max_examples=50, deadline=None)
@given(
    st.lists(_streams(), min_size=1, max_size=3),
    st.sampled_from([api.name for api in APIS]),
    st.sampled_from([Framing.SSE, Framing.NDJSON]),
)
def test_templates_do_not_change_counts(
    streams: list[list[bytes]], api: str, form: Framing
) -> None:
    templates = TemplateSet(api_named(api).read)
    for stream in streams:
        reads = stream
        if form == "ndjson":
            reads = [data.replace(b"data: ", b"").replace(b"\n\n", b"\n") for data in stream]
        reference = _ReferenceCounter(form, api)
        pending = reference.read_all(reads)
        counter = EventCounter(form, api_named(api).read, templates)
        counts = [counter.receive_data(data) for data in reads]
        assert counts == reference.counts
        assert counter.pending_bytes == pending
        for name in ("ends", "tokens", "empties", "heartbeats", "error", "malformed"):
            assert getattr(counter, name) == getattr(reference, name), name


def _event(text: str, number: int, **more: object) -> bytes:
    payload = {"id": f"c{number % 3}", "seq": number, "choices": [{"delta": {"content": text}}]}
    return f"data: {json.dumps({**payload, **more})}\n\n".encode()


def test_repeated_events_are_not_parsed_after_the_second() -> None:
    reads = 0
    chat = api_named("openai-chat")

    def read(event: str, data: str) -> object:
        nonlocal reads
        reads += 1
        return chat.read(event, data)

    counter = EventCounter(Framing.SSE, read, TemplateSet(read))  # type: ignore[arg-type]
    for number in range(2):
        counter.receive_data(_event(f"t{number}", number))
    learned = reads
    for number in range(2, 500):
        counter.receive_data(_event(f"t{number}", number * 10**9))
    assert counter.contents == 500
    assert reads == learned


def test_member_names_are_never_variable() -> None:
    read = api_named("openai-chat").read
    counter = EventCounter(Framing.SSE, read, TemplateSet(read))
    for name in ("x1", "x2", "x3"):
        counter.receive_data(_event("a", 1, **{name: "boom"}))
    counter.receive_data(_event("a", 1, error="boom"))
    assert counter.contents == 3
    assert counter.error == "boom"


@pytest.mark.parametrize(
    ("block", "limit"),
    [
        (b":\n", MAX_ITEMS),
        (b"data\n\n", MAX_ITEMS),
        (b": x\n\n", MAX_ITEMS),
        (b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', MAX_EVENTS),
    ],
)
def test_events_and_comments_are_limited(block: bytes, limit: int) -> None:
    read = api_named("openai-chat").read
    counter = EventCounter(Framing.SSE, read, TemplateSet(read))
    with pytest.raises(RemoteProtocolError, match=f"more than {limit} events and comments"):
        counter.receive_data(block * 300_000)
    assert counter.contents + counter.heartbeats < 2 * limit
