"""Relayed streams: a client reads the same from the relay as from the upstream."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import openai
import pytest
import requests
from fastapi import FastAPI
from openai.types.chat import ChatCompletion

from support import upstream_app
from support.asgi_calls import Call, run
from support.stream_clients import ai_sdk_message, ai_sdk_parts, node_chunks
from support.uvicorn_thread import read_raw, under_uvicorn
from undam.asgi import StreamBroken, UIMessageAnswer, relay
from undam.asgi import starlette as undam_starlette
from undam.asgi.response.refusal import UpstreamRefused, refusal_of
from undam.errors import UsageError
from undam.sse import Event, Parser

# Importing anthropic and langchain_openai at module level would delay collection by seconds.


def _relaying(upstream: str) -> FastAPI:
    clients: list[Any] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        for client in clients:
            closing = client.aclose() if hasattr(client, "aclose") else client.close()
            if closing is not None:
                await closing

    app = FastAPI(lifespan=lifespan)

    def kept(client: Any) -> Any:
        clients.append(client)
        return client

    def forward(path: str, body: dict[str, Any], how: str, mode: str) -> Any:
        base = f"{upstream}/{mode}"
        options: Any = {"base_url": f"{base}/v1", "api_key": "k", "max_retries": 0}
        if how == "sdk" and path == "messages":
            import anthropic  # noqa: PLC0415

            model = kept(anthropic.AsyncAnthropic(**{**options, "base_url": base}))
            return model.messages.create(**body)
        if how == "blocking-sdk":
            blocking = kept(openai.OpenAI(**options))
            return lambda: blocking.chat.completions.create(**body)
        if how in {"sdk", "objects"}:
            client = kept(openai.AsyncOpenAI(**options))
            if how == "objects":
                return _objects(client, body)
            return lambda: client.chat.completions.create(**body)
        if how == "httpx":
            http = kept(httpx.AsyncClient())
            return lambda: http.stream("POST", f"{base}/v1/{path}", json=body)
        return lambda: _aiohttp(f"{base}/v1/{path}", body)

    @app.post("/{how}/{mode}/v1/chat/completions")
    async def chat(how: str, mode: str, body: dict[str, Any]) -> undam_starlette.RelayResponse:
        upstream = forward("chat/completions", body, how, mode)
        return undam_starlette.relay(upstream, first_item_timeout=0.5, heartbeat=0.1)

    @app.post("/{how}/{mode}/v1/messages")
    async def messages(how: str, mode: str, body: dict[str, Any]) -> undam_starlette.RelayResponse:
        return undam_starlette.relay(forward("messages", body, how, mode))

    return app


async def _objects(client: openai.AsyncOpenAI, body: dict[str, Any]) -> AsyncIterator[Any]:
    async for chunk in await client.chat.completions.create(**body):
        yield chunk


@contextlib.asynccontextmanager
async def _aiohttp(url: str, body: dict[str, Any]) -> AsyncIterator[Any]:
    async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
        yield response


@pytest.fixture(scope="module")
def urls() -> Iterator[tuple[str, str]]:
    """Return the URLs of the upstream and of the relay."""
    with under_uvicorn(upstream_app.app) as upstream, under_uvicorn(_relaying(upstream)) as own:
        yield upstream, own


_MESSAGES: Any = [{"role": "user", "content": "hi"}]
_TOOLS: Any = [{"type": "function", "function": {"name": "look_up", "parameters": {}}}]


def _by_openai(base: str) -> Any:
    with (
        openai.OpenAI(base_url=f"{base}/v1", api_key="k", max_retries=0) as client,
        client.chat.completions.create(model="m", messages=_MESSAGES, stream=True) as chunks,
    ):
        return [chunk.model_dump(exclude_unset=True) for chunk in chunks]


def _by_langchain(base: str) -> Any:
    from langchain_openai import ChatOpenAI  # noqa: PLC0415

    options: Any = {"base_url": f"{base}/v1", "api_key": "k", "model": "m", "max_retries": 0}
    with httpx.Client() as http:
        pieces = list(ChatOpenAI(http_client=http, **options).stream("hi"))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    dumped = whole.model_dump()
    dumped.pop("id")
    return dumped


def _by_anthropic(base: str) -> Any:
    import anthropic  # noqa: PLC0415

    with (
        anthropic.Anthropic(base_url=base, api_key="k", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=_MESSAGES) as stream,
    ):
        events = [event.type for event in stream]
        return events, stream.get_final_message().model_dump()


def _post(base: str, path: str = "chat/completions") -> list[Event]:
    body = {"model": "m", "messages": _MESSAGES, "stream": True, "max_tokens": 9}
    with httpx.stream("POST", f"{base}/v1/{path}", json=body) as response:
        assert response.status_code == 200
        items = Parser().receive_data(response.read())
    return [item for item in items if isinstance(item, Event)]


HOWS = ("sdk", "blocking-sdk", "objects", "httpx", "aiohttp")


@pytest.mark.live
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("mode", ["ok", "crlf", "slow", "unterminated"])
def test_every_event_is_passed_on_once(urls: tuple[str, str], how: str, mode: str) -> None:
    events = [event.data for event in _post(f"{urls[1]}/{how}/{mode}")]
    assert events.pop() == "[DONE]"
    assert [json.loads(data) for data in events] == upstream_app.CHAT


@pytest.mark.live
@pytest.mark.parametrize("how", ["sdk", "httpx", "aiohttp"])
def test_anthropics_events_keep_their_names(urls: tuple[str, str], how: str) -> None:
    events = _post(f"{urls[1]}/{how}/ok", "messages")
    assert [event.event for event in events] == [one["type"] for one in upstream_app.MESSAGES]
    assert [json.loads(event.data) for event in events] == upstream_app.MESSAGES


@pytest.mark.live
@pytest.mark.parametrize("read", [_by_openai, _by_langchain, _by_anthropic])
@pytest.mark.parametrize("how", ["sdk", "httpx"])
def test_a_client_reads_what_the_upstream_sends(urls: tuple[str, str], read: Any, how: str) -> None:
    direct = read(f"{urls[0]}/ok")
    assert read(f"{urls[1]}/{how}/ok") == direct


@pytest.mark.live
def test_openai_node_reads_what_the_upstream_sends(urls: tuple[str, str], tmp_path: Path) -> None:
    direct = node_chunks(f"{urls[0]}/ok/v1", tmp_path)
    assert direct == upstream_app.CHAT
    assert node_chunks(f"{urls[1]}/sdk/ok/v1", tmp_path) == direct
    assert node_chunks(f"{urls[1]}/sdk/refuse-429/v1", tmp_path) == [{"status": 429}]


@pytest.mark.live
def test_the_ai_sdk_reads_what_the_upstream_sends(urls: tuple[str, str], tmp_path: Path) -> None:
    direct = ai_sdk_parts(f"{urls[0]}/ok/v1", tmp_path)
    kinds = {part["type"] for part in direct}
    assert {"text-delta", "tool-call", "finish"} <= kinds
    assert ai_sdk_parts(f"{urls[1]}/sdk/ok/v1", tmp_path) == direct
    refused = ai_sdk_parts(f"{urls[1]}/sdk/refuse-429/v1", tmp_path)
    assert {"type": "error", "status": 429} in refused


@pytest.mark.live
def test_the_ai_sdk_reads_a_ui_message_stream(tmp_path: Path) -> None:
    def source() -> Iterator[Any]:
        yield "Hel"
        yield "lo"
        yield {"type": "data-weather", "data": {"degrees": 20}}
        yield " again"

    app = FastAPI()

    @app.post("/chat")
    def chat() -> undam_starlette.EventStreamResponse:
        return undam_starlette.EventStreamResponse(
            source, protocol=UIMessageAnswer(id="answer-1"), heartbeat=0.05
        )

    with under_uvicorn(app) as url:
        message = ai_sdk_message(f"{url}/chat", tmp_path)
    assert message["id"] == "answer-1"
    assert [(part["type"], part.get("text")) for part in message["parts"]] == [
        ("text", "Hello"), ("data-weather", None), ("text", " again"),
    ]  # fmt: skip


@pytest.mark.live
@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
def test_the_status_of_the_upstream_arrives(urls: tuple[str, str], how: str, status: int) -> None:
    base = f"{urls[1]}/{how}/refuse-{status}/v1"
    with (
        openai.OpenAI(base_url=base, api_key="k", max_retries=0) as client,
        pytest.raises(openai.APIStatusError) as raised,
    ):
        client.chat.completions.create(model="m", messages=_MESSAGES, stream=True)
    assert raised.value.status_code == status
    headers = raised.value.response.headers
    assert headers["retry-after"] == "7"
    assert headers["x-request-id"] == "req_1"
    assert "x-secret" not in headers
    shown = "credentials of this server" if status == 401 else "Slow down."
    assert shown in raised.value.message


@pytest.mark.live
@pytest.mark.parametrize("how", ["sdk", "httpx", "aiohttp"])
def test_an_error_as_the_first_event_becomes_a_status(urls: tuple[str, str], how: str) -> None:
    base = f"{urls[1]}/{how}/first-error/v1"
    with (
        openai.OpenAI(base_url=base, api_key="k", max_retries=0) as client,
        pytest.raises(openai.RateLimitError, match="Slow down"),
    ):
        client.chat.completions.create(model="m", messages=_MESSAGES, stream=True)


@pytest.mark.live
def test_an_answer_that_is_no_stream_is_a_bad_gateway(urls: tuple[str, str]) -> None:
    response = httpx.post(f"{urls[1]}/httpx/json/v1/chat/completions", json={})
    assert response.status_code == 502
    assert response.json()["error"]["type"] == "upstream_error"


@pytest.mark.live
def test_an_unreachable_upstream_is_a_bad_gateway() -> None:
    with under_uvicorn(_relaying("http://127.0.0.1:1")) as url:
        for how in ("sdk", "httpx", "aiohttp"):
            response = httpx.post(
                f"{url}/{how}/ok/v1/chat/completions",
                json={"messages": [], "model": "m", "stream": True},
            )
            assert response.status_code == 502


@pytest.mark.live
@pytest.mark.parametrize("how", ["sdk", "httpx", "aiohttp"])
def test_an_upstream_that_breaks_off_is_an_error_and_no_clean_end(
    urls: tuple[str, str], how: str
) -> None:
    raw = read_raw(
        f"{urls[1]}/{how}/cut/v1/chat/completions", "POST",
        body=b'{"model": "m", "messages": [], "stream": true}',
    )  # fmt: skip
    assert raw.truncated
    assert b'data: {"error":{"message":"The stream failed on the server."' in raw.data
    assert b"[DONE]" not in raw.data


@pytest.mark.live
def test_heartbeats_are_sent_while_the_upstream_is_silent(urls: tuple[str, str]) -> None:
    raw = read_raw(
        f"{urls[1]}/httpx/slow/v1/chat/completions", "POST",
        body=b'{"model": "m", "messages": [], "stream": true}',
    )  # fmt: skip
    assert raw.when(b": ping") < raw.when(b"data: ")
    assert b"connected" not in raw.data
    assert not raw.truncated


def _framed(*parts: bytes) -> Any:
    async def source() -> AsyncIterator[bytes]:
        for part in parts:
            yield part
            await asyncio.sleep(0)

    return source


async def _served(upstream: Any, **options: Any) -> Call:
    return await Call("POST").serve(relay(upstream, **options))


@pytest.mark.parametrize(
    ("parts", "body"),
    [
        ((b"data: a\n\n",), b"data: a\n\n"),
        ((b"da", b"ta: a\n", b"\ndata: b\n\n"), b"data: a\n\ndata: b\n\n"),
        ((b"event: x\r\ndata: a\r\n\r\n",), b"event: x\r\ndata: a\r\n\r\n"),
        ((b"data: a\r\rdata: b\r\r",), b"data: a\r\rdata: b\r\r"),
        ((b"\n\n", b"\n", b": c\n\ndata: a\n\n"), b"data: a\n\n"),
        ((b"data: a\n\n: ping\n", b"\n: ping\ndata: b\n\n"), b"data: a\n\ndata: b\n\n"),
        ((b"data: [DONE]",), b"data: [DONE]\n\n"),
        ((b"data: {}\n",), b"data: {}\n\n"),
        ((b"\xef\xbb", b"\xbfdata: a\n\n"), b"data: a\n\n"),
        # Lines without their line ends, as iterators over lines return them
        ((b"data: a", b"", b"data: b", b""), b"data: a\n\ndata: b\n\n"),
        ((b"", b": ping", b"", b"event: x", b"data: a", b""), b"event: x\ndata: a\n\n"),
        ((b'data: {"x":', b"1}\n\n"), b'data: {"x":1}\n\n'),
        ((b"data:", b" a\n\n"), b"data: a\n\n"),
        ((), b""),
    ],
)
def test_framed_bytes_are_passed_on(parts: tuple[bytes, ...], body: bytes) -> None:
    call = run(_served(_framed(*parts)))
    assert call.body == b": open\n" + body
    assert call.complete


def test_an_end_within_an_event_is_not_clean() -> None:
    async def main() -> None:
        call = Call("POST")
        with pytest.raises(StreamBroken):
            await call.serve(relay(_framed(b"data: {}\n\n", b'data: {"a": ')))
        assert not call.complete
        assert b'"error"' in call.body

    run(main())


def test_objects_without_a_finish_reason_get_no_end_marker() -> None:
    chunk = {**upstream_app.CHAT[0]}
    call = run(_served(lambda: [chunk]))
    assert b"[DONE]" not in call.body
    call = run(_served(lambda: [upstream_app.CHAT[8], "[DONE]"]))
    assert call.body.count(b"[DONE]") == 1


def test_the_status_of_a_framework_exception_is_the_frameworks() -> None:
    from starlette.exceptions import HTTPException  # noqa: PLC0415

    async def refusing() -> AsyncIterator[str]:
        if upstream_app.CHAT:
            raise HTTPException(403, "not yours")
        yield ""

    app = FastAPI()

    @app.get("/")
    async def view() -> undam_starlette.EventStreamResponse:
        return undam_starlette.EventStreamResponse(refusing(), first_item_timeout=1)

    call = run(Call(client=("a", 1), server=("b", 2)).serve(app))
    assert call.status == 403
    assert b"not yours" in call.body


def test_a_source_is_closed_and_on_close_called_once_after_a_refusal() -> None:
    reasons: list[str] = []

    async def failing() -> AsyncIterator[str]:
        if upstream_app.CHAT:
            raise ValueError("expected")
        yield ""

    async def main() -> None:
        call = Call()
        from undam.asgi import EventStream  # noqa: PLC0415

        with pytest.raises(ValueError, match="expected"):
            await call.serve(EventStream(failing, first_item_timeout=1, on_close=reasons.append))
        assert call.sent == []

    run(main())
    assert reasons == ["error"]


def test_a_client_that_leaves_first_closes_an_upstream_that_was_not_read() -> None:
    closed: list[bool] = []

    class Upstream:
        def __aiter__(self) -> Upstream:
            return self

        async def __anext__(self) -> bytes:
            await asyncio.sleep(60)
            return b""

        async def aclose(self) -> None:
            closed.append(True)

    async def main() -> None:
        call = Call()
        task = call.start(relay(Upstream(), first_item_timeout=60))
        await asyncio.sleep(0.01)
        call.disconnected.set()
        await task
        assert call.sent == []

    run(main())
    assert closed == [True]


def test_the_head_is_sent_at_the_time_limit() -> None:
    async def late() -> AsyncIterator[bytes]:
        await asyncio.sleep(0.2)
        yield b"data: a\n\n"

    call = run(_served(late, first_item_timeout=0.05))
    assert call.at[-2] - call.at[0] > 0.05
    assert call.body == b": open\ndata: a\n\n"
    early = run(_served(late, first_item_timeout=5))
    assert early.at[-2] - early.at[0] < 0.1


def test_a_single_answer_is_no_upstream() -> None:
    """A pydantic model can be iterated, but a client cannot use its fields as events."""

    async def request() -> ChatCompletion:
        return ChatCompletion(id="c", object="chat.completion", created=1, model="m", choices=[])

    async def main() -> None:
        for upstream in (request, lambda: {"id": "c"}):
            call = Call("POST")
            with pytest.raises(UsageError, match="is a single"):
                await call.serve(relay(upstream))
            assert call.sent == []

    run(main())


def test_a_response_that_was_read_is_no_upstream() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="read before"):
            await Call().serve(relay(httpx.Response(200, content=b"data: a\n\n")))

    run(main())


_TEXT, _BYTES = "text/plain; charset=utf-8", "application/octet-stream"


@pytest.mark.parametrize(
    ("kind", "parts", "status"),
    [
        (_TEXT, [b"", b"da", b"ta: a\n\n", b"data: b\n\n"], 200),
        (_BYTES, [b": ping\n\n", b"data: a\n\ndata: b\n\n"], 200),
        (_TEXT, [b"overloaded"], 502),
        (_BYTES, [b"\x00\x01"], 502),
        ("text/html", [b"data: a\n\n"], 502),
        ("text/event-stream", [b"data: a\n\ndata: b\n\n"], 200),
    ],
)
def test_an_event_stream_with_an_unspecific_type(
    kind: str, parts: list[bytes], status: int
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    async def main() -> Call:
        response = httpx.Response(200, headers={"Content-Type": kind}, content=body())
        return await Call().serve(relay(response))

    call = run(main())
    assert call.status == status
    if status == 200:
        assert call.body == b": open\ndata: a\n\ndata: b\n\n"
    else:
        assert b"not an event stream" in call.body


def test_the_first_error_of_an_early_vllm_becomes_a_status() -> None:
    error = b'data: {"object":"error","message":"too long","code":400}\n\n'
    call = run(_served(_framed(error, b"data: [DONE]\n\n")))
    assert call.status == 400
    assert b"too long" in call.body
    assert run(_served(_framed(error.replace(b'"error"', b'"token"')))).status == 200


@pytest.mark.live
@pytest.mark.parametrize("mode", ["ok", "refuse-429"])
def test_a_response_of_requests_is_relayed(urls: tuple[str, str], mode: str) -> None:
    url = f"{urls[0]}/{mode}/v1/chat/completions"
    call = run(_served(lambda: requests.post(url, json={}, stream=True, timeout=10)))
    assert call.status == (200 if mode == "ok" else 429)
    if mode == "ok":
        assert call.body.endswith(b"data: [DONE]\n\n")
        assert len(call.bodies) > 3


def test_requests_returns_data_of_a_response_without_chunks_as_it_arrives() -> None:
    class Body:
        chunked = False

        def __init__(self) -> None:
            self.parts = [b"data: a\n\n", b"data: b\n\n"]

        def close(self) -> None:
            pass

        def read1(self, _amount: int, decode_content: bool) -> bytes:
            assert decode_content
            return self.parts.pop(0) if self.parts else b""

    response = requests.Response()
    response.status_code, response.raw = 200, Body()
    assert run(_served(response)).body == b": open\ndata: a\n\ndata: b\n\n"


def test_the_log_does_not_contain_the_upstreams_key(caplog: pytest.LogCaptureFixture) -> None:
    async def refusing() -> AsyncIterator[bytes]:
        if upstream_app.CHAT:
            raise UpstreamRefused("Incorrect API key sk-abcdef123456", 401)
        yield b""

    assert run(_served(refusing)).status == 401
    assert "sk-abcdef" not in caplog.text
    assert "401" in caplog.text


@pytest.mark.parametrize(
    ("kind", "fields", "status"),
    [
        ("google.genai.errors", {"code": 429}, 429),
        ("cohere.core", {"status_code": 400}, 400),
        ("ollama", {"status_code": -1}, 502),
        ("openai", {"code": "invalid_api_key"}, 502),
    ],
)
def test_the_status_of_other_libraries(kind: str, fields: dict[str, Any], status: int) -> None:
    error: Any = type("ApiError", (Exception,), {"__module__": kind, **fields})("expected")
    refusal = refusal_of(error)
    assert refusal is not None
    assert refusal.status == status
    assert refusal_of(type("Other", (Exception,), fields)()) is None
