"""The short ways of the judge say what the long ones say, however a stream is made and cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from undam.apis import APIS, Kind, api_named
from undam.errors import RemoteProtocolError
from undam.loadtest.analysis.chunks import ChunkDecoder
from undam.loadtest.analysis.counting import Counter
from undam.loadtest.analysis.template import TemplateSet
from undam.sse import Comment, LineParser, Parser
from undam.wire.response import ResponseParser

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
    # Few blocks, repeated: that is what templates are learnt from.
    blocks = draw(st.lists(_blocks(), min_size=1, max_size=6))
    template = draw(st.lists(st.integers(0, len(blocks) - 1), max_size=16))
    data = b"".join(blocks[index] for index in template)
    cuts = sorted(draw(st.lists(st.integers(0, len(data)), max_size=8)))
    edges = [0, *cuts, len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


@dataclass
class _Plain:
    """The long way: every event through the parser and the API."""

    form: str
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


@settings(max_examples=250, deadline=None)
@given(
    st.lists(_streams(), min_size=1, max_size=3),
    st.sampled_from([api.name for api in APIS]),
    st.sampled_from(["sse", "ndjson"]),
)
def test_templates_change_nothing(streams: list[list[bytes]], api: str, form: str) -> None:
    templates = TemplateSet(api_named(api).read)
    for stream in streams:
        reads = stream
        if form == "ndjson":
            reads = [data.replace(b"data: ", b"").replace(b"\n\n", b"\n") for data in stream]
        plain = _Plain(form, api)
        pending = plain.read_all(reads)
        counter = Counter(form, api_named(api).read, templates)
        counts = [counter.receive_data(data) for data in reads]
        assert counts == plain.counts
        assert counter.pending_bytes == pending
        for name in ("ends", "tokens", "empties", "heartbeats", "error", "malformed"):
            assert getattr(counter, name) == getattr(plain, name), name


def _event(text: str, number: int, **more: object) -> bytes:
    payload = {"id": f"c{number % 3}", "seq": number, "choices": [{"delta": {"content": text}}]}
    return f"data: {json.dumps({**payload, **more})}\n\n".encode()


def test_what_is_usual_is_recognised_after_two_events() -> None:
    reads = 0
    chat = api_named("openai-chat")

    def read(event: str, data: str) -> object:
        nonlocal reads
        reads += 1
        return chat.read(event, data)

    counter = Counter("sse", read, TemplateSet(read))  # type: ignore[arg-type]
    for number in range(2):
        counter.receive_data(_event(f"t{number}", number))
    learnt = reads
    for number in range(2, 500):
        counter.receive_data(_event(f"t{number}", number * 10**9))
    assert counter.contents == 500
    assert reads == learnt


def test_a_name_is_never_a_hole() -> None:
    read = api_named("openai-chat").read
    counter = Counter("sse", read, TemplateSet(read))
    for name in ("x1", "x2", "x3"):
        counter.receive_data(_event("a", 1, **{name: "boom"}))
    counter.receive_data(_event("a", 1, error="boom"))
    assert counter.contents == 3
    assert counter.error == "boom"


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    st.sampled_from(
        [b"0\r\n\r\n", b"0\r\nA: b\r\n\r\n", b"", b"zz\r\n", b"0;x=y\r\n\r\n", b"00\r\n\r\n",
         b"5 \r\nabcde\r\n0\r\n\r\n", b"+5\r\nabcde\r\n", b"5\nabcde\n", b"0\r\n\r\nHTTP/1.1 "]
    ),
    st.sampled_from([b"%x", b"%X", b"%04x", b"%x;ext=1"]),
    st.lists(st.integers(0, 600), max_size=10),
)  # fmt: skip
@example([b"x"], b"0\r\n\r\n", b"%x", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
def test_chunks_are_what_llhttp_says(
    bodies: list[bytes], end: bytes, size: bytes, cuts: list[int]
) -> None:
    data = b"".join(size % len(body) + b"\r\n" + body + b"\r\n" for body in bodies) + end
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reads = [data[a:b] for a, b in pairwise(edges) if a < b]
    parser, chunks = ResponseParser(), ChunkDecoder()
    parser.receive_data(HEAD)
    for read in reads:
        fault = other = None
        try:
            expected = b"".join(parser.receive_data(read))
        except RemoteProtocolError as error:
            fault, expected = str(error), b"".join(parser.take_body())
        try:
            got = chunks.receive_data(read)
        except RemoteProtocolError as error:
            other, got = str(error), chunks.rest()
        assert (got, other, chunks.complete) == (expected, fault, parser.complete)
        if fault is not None:
            break
