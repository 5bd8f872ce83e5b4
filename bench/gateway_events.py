"""Requests and events for the gateway benchmarks, used by both the origin and the load client."""

from __future__ import annotations

import json
import re

TTFT_S = 0.02


def _event(delta: dict[str, str], finish: str | None = None) -> str:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1700000000,
             "model": "bench", "choices": [choice]}  # fmt: skip
    return f"data: {json.dumps(chunk)}\n\n"


def _chunk(text: str) -> bytes:
    return b"%x\r\n%s\r\n" % (len(text), text.encode())


_PLACEHOLDER = "1234567890123456789"

EVENT = _chunk(_event({"content": _PLACEHOLDER})).replace(_PLACEHOLDER.encode(), b"%d")
"""A chunk with one event; the placeholder is for the send time in ns (19 digits until 2286)."""
EVENT_BYTES = len(EVENT % 10**18)
SEND_TIME = re.compile(rb'"content": ?"(\d{19})"')
HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n" + _chunk(_event({"role": "assistant", "content": ""}))
)
DONE = _chunk(_event({}, "stop") + "data: [DONE]\n\n") + b"0\r\n\r\n"
END = b"0\r\n\r\n"


def request(tokens: int, gap_ms: int) -> bytes:
    """Return a streaming chat request for ``tokens`` tokens that are ``gap_ms`` apart."""
    body = json.dumps({
        "model": "bench", "stream": True, "max_tokens": tokens, "gap_ms": gap_ms,
        "messages": [{"role": "user", "content": "Say something of medium length. " * 8}],
    }).encode()  # fmt: skip
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench.test\r\nAccept: */*\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
