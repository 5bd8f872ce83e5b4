"""Detection of the first content: the fast path agrees with the JSON parser on all events."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api, Kind
from undam.gateway.http.event_framer import EventFramer
from undam.gateway.http.fast_path import FastPath
from undam.gateway.relay import first_content as module
from undam.gateway.relay.first_content import FirstContentDetector, has_announced_end
from undam.sse import Comment, Parser


def _chat(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "choices": [choice], **more}


def _call(**function: str) -> dict[str, Any]:
    return _chat({"tool_calls": [{"index": 0, "function": function}]})


_CONTENT: list[tuple[Api, dict[str, Any]]] = [
    (CHAT, _chat({"content": "Hi"})),
    (CHAT, _chat({"content": "\n"})),
    (CHAT, _chat({"content": '"'})),
    (CHAT, _chat({"role": "assistant", "content": "Hi"})),
    (CHAT, _chat({"reasoning_content": "Hm"})),
    (CHAT, _chat({"reasoning": "Hm", "content": ""})),
    (CHAT, _chat({"refusal": "No"})),
    (CHAT, _call(arguments="{")),
    (COMPLETIONS, {"id": "c", "choices": [{"index": 0, "text": "Hi", "finish_reason": None}]}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"thinking": "Hm"}}),
    (MESSAGES, {"type": "content_block_delta", "delta": {"partial_json": "{"}}),
    (RESPONSES, {"type": "response.output_text.delta", "delta": "Hi"}),
]
_NO_CONTENT: list[tuple[Api, dict[str, Any]]] = [
    (CHAT, _chat({"role": "assistant", "content": ""})),
    (CHAT, _chat({"role": "assistant", "content": None, "reasoning_content": None})),
    (CHAT, {"choices": [], "usage": {"completion_tokens": 0}}),
    (CHAT, {"choices": [], "prompt_filter_results": [{"content_filter_results": {}}]}),
    (COMPLETIONS, {"choices": [{"index": 0, "text": "", "finish_reason": None}]}),
    (MESSAGES, {"type": "message_start", "message": {"role": "assistant", "content": []}}),
    (MESSAGES, {"type": "content_block_start", "content_block": {"type": "text", "text": ""}}),
    (MESSAGES, {"type": "ping"}),
    (RESPONSES, {"type": "response.created", "response": {"output": [], "text": {"a": "b"}}}),
    (RESPONSES, {"type": "response.content_part.added", "part": {"type": "output_text"}}),
]


def _bytes(payload: dict[str, Any], separators: tuple[str, str]) -> bytes:
    return b"data: " + json.dumps(payload, separators=separators).encode() + b"\n\n"


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")], ids=["wide", "tight"])
@pytest.mark.parametrize(
    ("api", "payload", "is_content"),
    [(*one, True) for one in _CONTENT] + [(*one, False) for one in _NO_CONTENT],
)
def test_looks_like_content_is_right_for_events_of_model_servers(
    api: Api, payload: dict[str, Any], is_content: bool, separators: tuple[str, str]
) -> None:
    data, detector = _bytes(payload, separators), FirstContentDetector(api)
    assert detector.looks_like_content(data) is is_content
    assert detector.take(data) is is_content
    assert detector.content is is_content


def test_quoted_json_and_large_events_do_not_look_like_content() -> None:
    detector = FirstContentDetector(CHAT)
    quoted = _bytes(_chat({"role": '{"content": "x"}', "content": ""}), (", ", ": "))
    assert b'content\\": \\"x' in quoted
    assert not detector.looks_like_content(quoted)
    assert not detector.looks_like_content(_bytes(_chat({"content": "x" * 1024}), (", ", ": ")))
    assert not detector.looks_like_content(b": ping\n\n")


def _role(**more: Any) -> bytes:
    return _bytes(_chat({"role": "assistant", "content": "", **more}), (",", ":"))


_SERVER_CHUNKS = {
    "OpenAI's role": _bytes(
        {
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1728933352,
            "model": "gpt-4o", "service_tier": "default", "system_fingerprint": "fp_5796ac6771",
            "choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": None},
                         "logprobs": None, "finish_reason": None}],
            "usage": None, "obfuscation": "aB3",
        }, (",", ":")),
    "llama.cpp's role": _bytes(
        {
            "choices": [{"finish_reason": None, "index": 0,
                         "delta": {"role": "assistant", "content": None}}],
            "created": 1728933352, "id": "chatcmpl-1", "model": "m", "system_fingerprint": "b1",
            "object": "chat.completion.chunk",
        }, (",", ":")),
    "vLLM's content": _bytes(
        _chat({"content": 'Say \n"yes" \u00e9\u2028'}) | {"prompt_token_ids": None}, (",", ":")),
    "spaces": _bytes(_chat({"role": "assistant", "content": "Hi"}), (", ", ": ")),
}  # fmt: skip


@pytest.mark.parametrize("name", _SERVER_CHUNKS)
def test_chunks_of_common_servers_are_matched_by_the_pattern(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(module, "Parser")
    detector = FirstContentDetector(CHAT)
    assert detector.take(_SERVER_CHUNKS[name]) is ("role" not in name)
    assert detector.content is ("role" not in name)
    with pytest.raises(NameError):
        FirstContentDetector(CHAT).take(b": ping\n\n")


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(width=16),
    st.sampled_from(["", "", "x", 'a "quote"', "a\\b", "{", "\n", "\u00e9", "content", [], {}]),
)  # fmt: skip
_NAMES = st.sampled_from(
    [
        "id",
        "created",
        "usage",
        "logprobs",
        "error",
        "finish_reason",
        "text",
        "delta",
        "choices",
        "X",
    ]
)
_OTHER_MEMBERS = st.lists(st.tuples(_NAMES, st.none() | _VALUES), max_size=2)
_DELTA_MEMBERS = st.tuples(
    st.sampled_from(["role", "content", "content", "refusal", "tool_calls", "reasoning"]),
    st.sampled_from(["", None]) | _VALUES,
)


def _object(pairs: list[tuple[str, Any]]) -> str:
    """Return a JSON object. Names may be repeated; `bytes` values must already be valid JSON."""
    texts = (one.decode() if isinstance(one, bytes) else json.dumps(one) for _, one in pairs)
    names = (json.dumps(name) for name, _ in pairs)
    return "{" + ", ".join(map(": ".join, zip(names, texts, strict=True))) + "}"


@st.composite
def _chunks(draw: st.DrawFn) -> bytes:
    """Generate chat completion events, including some that are almost valid."""
    delta = _object(draw(st.lists(_DELTA_MEMBERS, max_size=3))).encode()
    choice = _object([*draw(_OTHER_MEMBERS), ("delta", delta), *draw(_OTHER_MEMBERS)])
    text = _object(
        [*draw(_OTHER_MEMBERS), ("choices", f"[{choice}]".encode()), *draw(_OTHER_MEMBERS)]
    )
    if draw(st.booleans()):
        text = text.replace(": ", ":").replace(", ", ",")
    data = f"data: {text}\n\n".encode()
    for _ in range(draw(st.integers(0, 2))):
        place, skipped = draw(st.integers(0, len(data))), draw(st.integers(0, 2))
        put = draw(st.sampled_from([b"", b",", b'"', b"}", b" ", b"\\", b"\n", b"0", b"\xff"]))
        data = data[:place] + put + data[place + skipped :]
    return data


def _parsed(data: bytes) -> tuple[bool, bool]:
    """Return the values of `decided` and `content` that the SSE and JSON parsers yield."""
    for item in Parser().receive_data(data):
        if not isinstance(item, Comment):
            kind = CHAT.read(item.event, item.data).kind
            if kind not in (Kind.EMPTY, Kind.HEARTBEAT, Kind.USAGE):
                return True, kind is Kind.CONTENT
    return False, False


@given(first=st.sampled_from([b"", _role(), _role(refusal=None)]), data=_chunks())
@example(b"", b'data: {"choices":[{"delta":{"content":"x","content":""}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"x","role":"}","content":""}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":""x""}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"\\x"}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"\\u00e"}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"role":"a""content":"x"}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"x",}}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{},"text":"x"}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{}}],"error":"x"}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"x"},"delta":null}]}\n\n')
@example(b"", b'data: {"choices":[{"delta":{"content":"x"}}],"choices":null}\n\n')
@example(b"", b'data: {"id":01,"choices":[{"delta":{}}]}\n\n')
@example(_role(), b'\xef\xbb\xbfdata: {"choices":[{"delta":{"content":"x"}}]}\n\n')
def test_the_pattern_agrees_with_the_json_parser(first: bytes, data: bytes) -> None:
    detector = FirstContentDetector(CHAT)
    taken = [detector.take(one) for one in (first, data) if one and not detector.decided]
    assert (taken[-1], detector.content) == _parsed(first + data)


@pytest.mark.parametrize("size", [300, 5_000, 20_000])
@pytest.mark.parametrize("cut", [1000, 4096, 16_384])
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("last", ["completed", "in_progress"])
def test_the_end_of_a_response_is_known_from_a_long_event_in_several_reads(
    size: int, cut: int, line_end: bytes, last: str
) -> None:
    delta = b'event: response.output_text.delta\ndata: {"delta":"response.completed"}\n\n'
    kind = f"response.{last}".encode()
    end = b'event: %b\ndata: {"type":"%b","response":{"instructions":"%b"}}\n\n' % (
        kind, kind, b"x" * size,
    )  # fmt: skip
    data = (delta * 3 + end).replace(b"\n", line_end)
    framer = EventFramer()
    path = FastPath(lambda data: None, lambda: None, 0.0)
    for at in range(0, len(data), cut):
        at_boundary = framer.at_boundary
        framer.take(data[at : at + cut])
        path.keep_tail(data[at : at + cut], at_boundary=at_boundary)
    assert has_announced_end(RESPONSES, path.tail) == (last == "completed")
    assert len(path.tail) <= 8192 + cut
