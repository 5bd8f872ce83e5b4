"""Response formats for further APIs and framings, each given as a table of events.

They are served at /forms/NAME. Events that are JSON objects are stamped for the beacon.
"""

from __future__ import annotations

import json
from binascii import crc32
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from undam.simulator.apis.response_format import ResponseContext, compact

Event = tuple[str, object]
"""An event name, which may be empty, and its JSON value."""

_SSE = "text/event-stream; charset=utf-8"
_BOUNDARY = "undam"


@dataclass(frozen=True, slots=True)
class Envelope:
    """Bytes before and after each event in a framing.

    Args:
        before: ``(event name) -> bytes`` in front of the JSON value.
        after: bytes behind it.
        last: bytes that end the body.
    """

    content_type: str
    before: Callable[[str], bytes]
    after: bytes
    last: bytes = b""


def _sse_before(name: str) -> bytes:
    return f"event: {name}\ndata: ".encode() if name else b"data: "


SSE = Envelope(_SSE, _sse_before, b"\n\n")
SSE_DONE = Envelope(_SSE, _sse_before, b"\n\n", b"data: [DONE]\n\n")
LINES = Envelope("application/x-ndjson", lambda _: b"", b"\n")
SEQUENCE = Envelope("application/json-seq", lambda _: b"\x1e", b"\n")
ARRAY = Envelope("application/json; charset=UTF-8", lambda _: b"", b"", b"\n]\n")
EVENTSTREAM = Envelope(
    "application/vnd.amazon.eventstream", lambda name: name.encode() + b"\0", b""
)
MULTIPART = Envelope(
    f"multipart/mixed; boundary={_BOUNDARY}",
    lambda _: f"--{_BOUNDARY}\r\nContent-Type: application/json\r\n\r\n".encode(),
    b"\r\n",
    f"--{_BOUNDARY}--\r\n".encode(),
)
TEXT = Envelope("text/plain; charset=utf-8", lambda _: b"", b"")
HTML = Envelope("text/html; charset=utf-8", lambda _: b"<span>", b"</span>")
BINARY = Envelope("application/octet-stream", lambda _: b"\0\xff\xfe", b"\0")
DATA_STREAM = Envelope(TEXT.content_type, lambda code: f"{code}:".encode(), b"\n")


@dataclass(frozen=True, slots=True)
class WireForm:
    """Events of one API, before they are encoded.

    Args:
        content: ``(text) -> event`` with one piece of the answer.
        opening, closing: events before and after the content.
        raw: the content is sent as it is, not as JSON.
    """

    name: str
    envelope: Envelope
    content: Callable[[str], Event]
    opening: tuple[Event, ...] = ()
    closing: tuple[Event, ...] = ()
    raw: bool = False


class FormFormat:
    """Response format defined by a `WireForm`."""

    def __init__(self, form: WireForm, answer: ResponseContext) -> None:
        self.content_type = form.envelope.content_type
        self.terminator = form.envelope.after
        self.last = form.envelope.last
        self.stamped = isinstance(form.content("x")[1], dict)
        self.wrap = _wrapper(form.envelope)
        self._form = form
        self._answer = answer

    def opening(self) -> Sequence[bytes]:
        """Return the events that precede the content."""
        return [self._fragment(event) for event in self._form.opening]

    def content(self, text: bytes, seq: int) -> bytes:
        """Return an event with one piece of the answer."""
        return self._fragment(self._form.content(text.decode()))

    def closing(self, seq: int) -> Sequence[bytes]:
        """Return the events that follow the content."""
        return [self._fragment(event) for event in self._form.closing]

    def whole(self) -> Mapping[str, object]:
        """Return the whole answer and its number of tokens."""
        answer = self._answer
        return {"text": answer.text.prefix(answer.tokens), "tokens": answer.tokens}

    def _fragment(self, event: Event) -> bytes:
        name, value = event
        before = self._form.envelope.before(name)
        if self._form.raw:
            return before + str(value).encode()
        if self.stamped and isinstance(value, dict):
            return before + compact(value)[:-1].encode()
        return before + json.dumps(value, separators=(",", ":")).encode()


def _wrapper(envelope: Envelope) -> Callable[[bytes], bytes] | None:
    """Return a function that adds separators or checksums to events; ``None`` if not needed."""
    if envelope is EVENTSTREAM:
        return _message
    if envelope is ARRAY:
        return _Elements().add
    return None


class _Elements:
    """Encoder that adds the separators between the elements of a JSON array."""

    def __init__(self) -> None:
        self._first = True

    def add(self, element: bytes) -> bytes:
        separator = b"[" if self._first else b",\r\n"
        self._first = False
        return separator + element


def _message(event: bytes) -> bytes:
    """Return an event as a message of type application/vnd.amazon.eventstream."""
    name, _, payload = event.partition(b"\0")
    headers = b"".join(
        bytes([len(key)]) + key + b"\x07" + len(value).to_bytes(2, "big") + value
        for key, value in (
            (b":event-type", name),
            (b":content-type", b"application/json"),
            (b":message-type", b"event"),
        )
    )
    total = 12 + len(headers) + len(payload) + 4
    prelude = total.to_bytes(4, "big") + len(headers).to_bytes(4, "big")
    body = prelude + crc32(prelude).to_bytes(4, "big") + headers + payload
    return body + crc32(body).to_bytes(4, "big")


def _typed(kind: str, **rest: object) -> Event:
    """Return an event whose name and type are the same."""
    return kind, {"type": kind, **rest}


def _plain(**payload: object) -> Event:
    return "", payload


def _chat(delta: Mapping[str, object], reason: str | None = None, **more: object) -> Event:
    choice = {"index": 0, "delta": dict(delta), "finish_reason": reason}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return "", {**chunk, "choices": [choice], **more}


def _gemini(text: str) -> Event:
    parts = [{"text": text}]
    return _plain(candidates=[{"content": {"parts": parts, "role": "model"}, "index": 0}])


_GEMINI_END = _plain(
    candidates=[{"content": {"parts": [], "role": "model"}, "finishReason": "STOP", "index": 0}]
)
_ROLE = _chat({"role": "assistant", "content": ""})
_STOP = _chat({}, "stop")


def _with_key(key: str, text: str) -> Event:
    return _plain(**{key: text})


def _rpc(**rest: object) -> Event:
    return "message", {"jsonrpc": "2.0", **rest}


def _chat_form(name: str, delta: Callable[[str], Mapping[str, object]]) -> WireForm:
    return WireForm(name, SSE_DONE, lambda text: _chat(delta(text)), (_ROLE,), (_STOP,))


_FORMS = (
    WireForm("gemini", SSE, _gemini, (), (_GEMINI_END,)),
    WireForm("gemini-array", ARRAY, _gemini, (), (_GEMINI_END,)),
    WireForm(
        "bedrock",
        EVENTSTREAM,
        lambda text: ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": text}}),
        (("messageStart", {"role": "assistant"}),),
        (
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
        ),
    ),
    WireForm(
        "cohere",
        SSE,
        lambda text: _typed(
            "content-delta", index=0, delta={"message": {"content": {"text": text}}}
        ),
        (_typed("message-start", id="1"), _typed("content-start", index=0)),
        (
            _typed("content-end", index=0),
            _typed("message-end", delta={"finish_reason": "COMPLETE"}),
        ),
    ),
    _chat_form(
        "mistral-thinking",
        lambda text: {
            "content": [{"type": "thinking", "thinking": [{"type": "text", "text": text}]}]
        },
    ),
    _chat_form(
        "openrouter-reasoning",
        lambda text: {
            "content": "",
            "reasoning_details": [{"type": "reasoning.text", "text": text}],
        },
    ),
    _chat_form("audio", lambda text: {"audio": {"id": "a", "data": text}}),
    _chat_form("function-call", lambda text: {"function_call": {"arguments": text}}),
    WireForm(
        "azure",
        SSE_DONE,
        lambda text: _chat({"content": text}, system_fingerprint="fp_1"),
        (_plain(id="", choices=[], prompt_filter_results=[{"prompt_index": 0}]), _ROLE),
        (_STOP,),
    ),
    WireForm(
        "ollama",
        LINES,
        lambda text: _plain(
            model="m", message={"role": "assistant", "content": text}, done=False
        ),
        (),
        (_plain(model="m", message={"role": "assistant", "content": ""}, done=True),),
    ),
    WireForm(
        "ollama-generate",
        LINES,
        lambda text: _plain(model="m", response=text, done=False),
        (),
        (_plain(model="m", response="", done=True, eval_count=1),),
    ),
    WireForm(
        "tgi",
        SSE,
        lambda text: _plain(
            index=0,
            token={"id": 1, "text": text, "logprob": -0.1, "special": False},
            generated_text=None,
        ),
        (),
        (
            _plain(
                index=0, token={"id": 2, "text": "</s>", "special": True}, generated_text="..."
            ),
        ),
    ),
    WireForm(
        "llamacpp",
        SSE,
        lambda text: _plain(index=0, content=text, tokens=[1], stop=False),
        (),
        (_plain(content="", stop=True),),
    ),
    WireForm(
        "vercel-ui",
        SSE_DONE,
        lambda text: _plain(type="text-delta", id="0", delta=text),
        (
            _plain(type="start", messageId="m1"),
            _plain(type="start-step"),
            _plain(type="text-start", id="0"),
        ),
        (
            _plain(type="text-end", id="0"),
            _plain(type="finish-step"),
            _plain(type="finish", finishReason="stop"),
        ),
    ),
    WireForm(
        "vercel-data",
        DATA_STREAM,
        lambda text: ("0", text),
        (("f", {"messageId": "m1"}),),
        (("d", {"finishReason": "stop"}),),
    ),
    WireForm("vercel-text", TEXT, lambda text: ("", text), raw=True),
    WireForm(
        "ag-ui",
        SSE,
        lambda text: _plain(type="TEXT_MESSAGE_CONTENT", messageId="m", delta=text),
        (
            _plain(type="RUN_STARTED", threadId="t", runId="r"),
            _plain(type="TEXT_MESSAGE_START", messageId="m", role="assistant"),
        ),
        (
            _plain(type="TEXT_MESSAGE_END", messageId="m"),
            _plain(type="RUN_FINISHED", threadId="t", runId="r"),
        ),
    ),
    WireForm(
        "langserve",
        SSE,
        lambda text: ("data", text),
        (("metadata", {"run_id": "r"}),),
        (("end", None),),
    ),
    WireForm(
        "langgraph",
        SSE,
        lambda text: (
            "messages",
            [{"content": text, "type": "AIMessageChunk"}, {"langgraph_node": "n"}],
        ),
        (("metadata", {"run_id": "r"}),),
        (("end", None),),
    ),
    WireForm(
        "dify",
        SSE,
        lambda text: _plain(event="message", task_id="t", answer=text),
        (),
        (_plain(event="message_end", task_id="t", metadata={}),),
    ),
    WireForm(
        "mcp",
        SSE,
        lambda text: _rpc(
            method="notifications/progress", params={"progressToken": 1, "message": text}
        ),
        (),
        (_rpc(id=1, result={"content": [{"type": "text", "text": "done"}]}),),
    ),
    WireForm(
        "a2a",
        SSE,
        lambda text: _rpc(
            id=1,
            result={
                "kind": "artifact-update",
                "taskId": "t",
                "artifact": {"artifactId": "a", "parts": [{"kind": "text", "text": text}]},
            },
        ),
        (_rpc(id=1, result={"kind": "status-update", "status": {"state": "working"}}),),
        (
            _rpc(
                id=1,
                result={
                    "kind": "status-update", "status": {"state": "completed"}, "final": True,
                },
            ),
        ),
    ),
    WireForm("json-seq", SEQUENCE, partial(_with_key, "token")),
    WireForm("multipart", MULTIPART, partial(_with_key, "delta")),
    WireForm("html", HTML, lambda text: ("", text), raw=True),
    WireForm("bytes", BINARY, lambda text: ("", text), raw=True),
)  # fmt: skip

FORMS: Mapping[str, Callable[[ResponseContext], FormFormat]] = {
    f"/forms/{form.name}": partial(FormFormat, form) for form in _FORMS
}
"""Formats by path."""
