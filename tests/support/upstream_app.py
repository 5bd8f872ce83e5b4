"""Model APIs that send recorded streams, for pass-through tests.

The first part of the path selects the behaviour: ``ok``, ``slow`` (silent for a second), ``refuse``
(the status of the query), ``first-error`` (200, then an error event), ``cut`` (no end of the body),
``json`` (a whole answer), ``unterminated`` (no blank line at the end), ``crlf``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


def _chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "up"}
    return {**head, "choices": choices, **more}


def _choice(index: int = 0, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}


def _call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return {"index": index, "function": function, **more}


CHAT: list[dict[str, Any]] = [
    _chunk([_choice(role="assistant", content="", refusal=None)]),
    _chunk([_choice(reasoning_content="let me think")]),
    _chunk([_choice(content="Hello "), _choice(1, role="assistant", content="Good ")]),
    _chunk([_choice(content="wörld\u2028")]),
    _chunk([_choice(1, content="day")]),
    _chunk([_choice(tool_calls=[_call(0, "", id="call_1", type="function", name="look_up")])]),
    _chunk([_choice(tool_calls=[_call(0, '{"city": ')])]),
    _chunk([_choice(tool_calls=[_call(0, '"Rome"}')])]),
    _chunk([_choice(finish="tool_calls")]),
    _chunk([_choice(1, finish="length")]),
    _chunk([], usage={"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12}),
]

MESSAGES: list[dict[str, Any]] = [
    {
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "up",
            "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 3, "output_tokens": 1},
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "world"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look_up", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"city": "Rome"}'},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 9},
    },
    {"type": "message_stop"},
]  # fmt: skip


def _events(path: str) -> list[bytes]:
    if path.endswith("/messages"):
        return [
            b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode())
            for one in MESSAGES
        ]
    return [b"data: %b\n\n" % json.dumps(one).encode() for one in CHAT] + [b"data: [DONE]\n\n"]


ERROR = {"error": {"message": "Slow down.", "type": "rate_limit_error", "code": 429}}


async def _body(request: Request, mode: str) -> AsyncIterator[bytes]:
    if mode == "first-error":
        yield b"data: %b\n\n" % json.dumps(ERROR).encode()
        return
    yield b": connected\n\n"
    if mode == "slow":
        await asyncio.sleep(1)
    events = _events(request.url.path)
    if mode == "unterminated":
        events[-1] = events[-1].rstrip(b"\n")
    for number, data in enumerate(events):
        if mode == "cut" and number == 4:
            raise ConnectionError("expected")
        event = data.replace(b"\n", b"\r\n") if mode == "crlf" else data
        # Each event is sent in two pieces, and a comment precedes it.
        yield b": processing\n\n" + event[:9]
        await asyncio.sleep(0)
        yield event[9:]


async def _serve(request: Request) -> Response:
    mode = request.path_params["mode"]
    if mode.startswith("refuse-"):
        headers = {"Retry-After": "7", "X-Request-Id": "req_1", "X-Secret": "s"}
        return JSONResponse(ERROR, int(mode.removeprefix("refuse-")), headers)
    if mode == "json":
        return JSONResponse({"id": "chatcmpl-1", "choices": []})
    return StreamingResponse(_body(request, mode), media_type="text/event-stream")


app = Starlette(
    routes=[
        Route(f"/{{mode}}/v1/{api}", _serve, methods=["POST"])
        for api in ("chat/completions", "messages")
    ]
)
