"""Each library reads a stream with heartbeats through its tolerant client (see docs/client.md)."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.threaded_server import serving
from undam.client import sdks
from undam.errors import UsageError

pytestmark = [pytest.mark.live, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TEXT = "Hello world"

Messy = str
PLAIN, MESSY, UNTERMINATED = "plain", "messy", "unterminated"


def _chunk(text: str, finish: str | None = None) -> dict[str, Any]:
    delta = {"role": "assistant", "content": text}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def _message_events() -> list[dict[str, Any]]:
    usage = {"input_tokens": 1, "output_tokens": 1}
    message: dict[str, Any] = {
        "id": "m", "type": "message", "role": "assistant", "content": [], "model": "m",
        "stop_reason": None, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    deltas = [
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
        for text in ("Hello ", "world")
    ]
    end = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *deltas,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": end, "usage": {"output_tokens": 2}},
        {"type": "message_stop"},
    ]


def _cohere_events() -> list[dict[str, Any]]:
    def content(kind: str, fields: dict[str, Any]) -> dict[str, Any]:
        return {"type": kind, "index": 0, "delta": {"message": {"content": fields}}}

    return [
        {"type": "message-start", "id": "x", "delta": {"message": {"role": "assistant"}}},
        content("content-start", {"type": "text", "text": ""}),
        content("content-delta", {"text": "Hello "}),
        content("content-delta", {"text": "world"}),
        {"type": "message-end", "delta": {"finish_reason": "COMPLETE"}},
    ]


def _gemini(text: str, **more: str) -> dict[str, Any]:
    content = {"parts": [{"text": text}], "role": "model"}
    return {"candidates": [{"content": content, "index": 0, **more}]}


def _events(path: str) -> list[bytes]:
    """Return the events that the API at ``path`` sends."""
    payloads: list[dict[str, Any]]
    named = True
    if path.endswith("/messages"):
        payloads = _message_events()
    elif path.endswith("/v2/chat"):
        payloads = _cohere_events()
    elif "streamGenerateContent" in path:
        payloads, named = [_gemini("Hello "), _gemini("world", finishReason="STOP")], False
    else:
        payloads, named = [_chunk("Hello "), _chunk("world"), _chunk("", "stop")], False
    events = [
        (f"event: {one['type']}\n" if named else "") + f"data: {json.dumps(one)}\n\n"
        for one in payloads
    ]
    if path.endswith("/completions"):
        events.append("data: [DONE]\n\n")
    return [event.encode() for event in events]


def _body(path: str, mode: str) -> tuple[str, bytes]:
    if path.endswith("/api/chat"):
        messages = [("Hello ", False), ("world", False), ("", True)]
        lines = [
            json.dumps(
                {"model": "m", "message": {"role": "assistant", "content": text}, "done": end}
            )
            for text, end in messages
        ]
        blank = "\n" if mode == MESSY else ""
        return "application/x-ndjson", "".join(f"{blank}{line}\n" for line in lines).encode()
    events = _events(path)
    if mode == MESSY:
        noise = b": ping\n\nevent: ping\ndata: {}\n\nevent: keepalive\ndata:\n\n"
        events = [noise + b"id: %d\n" % number + one for number, one in enumerate(events)]
        events.insert(0, b"retry: 1000\n\n")
    if mode == UNTERMINATED:
        events[-1] = events[-1].rstrip(b"\n") + b"\n"
    return "text/event-stream", b"".join(events)


def _answer(connection: Any, request: bytes) -> None:
    head = request.partition(b"\r\n\r\n")[0]
    path = head.split(b" ")[1].decode().partition("?")[0]
    kind, data = _body(path, path.split("/")[1])
    connection.sendall(
        f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n"
        f"Content-Length: {len(data)}\r\n\r\n".encode()
        + data
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(_answer) as served:
        yield served.url("")


_MESSAGES: Any = [{"role": "user", "content": "h"}]


def _openai(base: str, tolerant: bool) -> str:
    with importlib.import_module("openai").OpenAI(
        base_url=f"{base}/v1", api_key="x", max_retries=0
    ) as client:
        reading = sdks.openai(client) if tolerant else client
        chunks = reading.chat.completions.create(model="m", messages=_MESSAGES, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)


def _anthropic(base: str, tolerant: bool) -> str:
    with importlib.import_module("anthropic").Anthropic(
        base_url=base, api_key="x", max_retries=0
    ) as client:
        reading = sdks.anthropic(client) if tolerant else client
        with reading.messages.stream(model="m", max_tokens=5, messages=_MESSAGES) as stream:
            return "".join(stream.text_stream)


@contextlib.contextmanager
def _closed(options: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        yield options
    finally:
        for client in options.values():
            if hasattr(client, "aclose"):
                asyncio.run(client.aclose())
            else:
                client.close()


def _langchain(base: str, tolerant: bool) -> str:
    model = importlib.import_module("langchain_openai").ChatOpenAI
    with _closed(sdks.langchain_openai()) as options:
        chat = model(
            base_url=f"{base}/v1", api_key="x", model="m", max_retries=0,
            **(options if tolerant else {"http_client": _bare()}),
        )  # fmt: skip
        return "".join(chunk.content for chunk in chat.stream("h"))


def _bare() -> Any:
    return importlib.import_module("httpx").Client()


def _google_genai(base: str, tolerant: bool) -> str:
    genai = importlib.import_module("google.genai")
    with _closed(sdks.google_genai()) as options:
        own = options if tolerant else {"httpx_client": _bare()}
        http = genai.types.HttpOptions(base_url=base, **own)
        client = genai.Client(api_key="x", http_options=http)
        pieces = client.models.generate_content_stream(model="m", contents="h")
        return "".join(piece.text or "" for piece in pieces)


def _mistralai(base: str, tolerant: bool) -> str:
    try:
        mistral = importlib.import_module("mistralai.client").Mistral
    except (ImportError, AttributeError):
        mistral = importlib.import_module("mistralai").Mistral
    with _closed(sdks.mistralai()) as options:
        own = options if tolerant else {"client": _bare()}
        client = mistral(api_key="x", server_url=base, **own)
        events = client.chat.stream(model="m", messages=_MESSAGES)
        return "".join(event.data.choices[0].delta.content or "" for event in events)


def _cohere(base: str, tolerant: bool) -> str:
    bare = _bare()
    with _closed({"httpx_client": bare}):
        client = importlib.import_module("cohere").ClientV2(
            api_key="x", base_url=base, httpx_client=bare
        )
        client = sdks.cohere(client) if tolerant else client
        events = client.chat_stream(model="m", messages=_MESSAGES)
        return "".join(
            event.delta.message.content.text for event in events if event.type == "content-delta"
        )


def _ollama(base: str, tolerant: bool) -> str:
    client = importlib.import_module("ollama").Client(host=base)
    with _closed({"client": client._client}):
        reading = sdks.ollama(client) if tolerant else client
        pieces = reading.chat(model="m", messages=_MESSAGES, stream=True)
        return "".join(piece.message.content for piece in pieces)


READERS: dict[str, Callable[[str, bool], str]] = {
    "openai": _openai,
    "langchain-openai": _langchain,
    "anthropic": _anthropic,
    "google-genai": _google_genai,
    "mistralai": _mistralai,
    "cohere": _cohere,
    "ollama": _ollama,
}
FAIL_WITHOUT = {"openai", "langchain-openai", "google-genai", "mistralai", "ollama"}
"""Libraries that fail on heartbeats, which their own servers do not send."""


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("library", READERS)
def test_a_library_reads_every_stream_through_its_tolerant_client(url: str, library: str) -> None:
    read = READERS[library]
    for mode in (PLAIN, MESSY, UNTERMINATED):
        assert read(f"{url}/{mode}", True) == TEXT


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("library", READERS)
def test_the_table_names_the_libraries_that_fail_without_it(url: str, library: str) -> None:
    read = READERS[library]
    assert read(f"{url}/{PLAIN}", False) == TEXT
    if library in FAIL_WITHOUT:
        with pytest.raises(Exception, match=r"JSON|alidation|Expecting|parse"):
            read(f"{url}/{MESSY}", False)
    else:
        assert read(f"{url}/{MESSY}", False) == TEXT


@pytest.mark.parametrize("wrap", [sdks.openai, sdks.anthropic, sdks.cohere, sdks.ollama])
def test_another_object_is_rejected(wrap: Any) -> None:
    with pytest.raises(UsageError, match=r"requires an? .*client"):
        wrap(object())
