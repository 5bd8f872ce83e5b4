"""Sending of one request and reading of its whole response into an Exchange."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES
from undam.errors import ResponseError
from undam.probe.secrecy import clean_text, secrets_in
from undam.record import Ending, Exchange, redact_url
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

# A page that takes longer than this is streamed deliberately (HTML fragments of an application).
_WHOLE_PAGE_NS = 500_000_000

# Maximum length of an error body in a message: enough for a JSON error, but not for a page.
_SHOWN = 600
_REFUSAL_BYTES = 65_536
_REFUSAL_S = 5.0

_HINTS = {
    401: "pass the key with -H 'Authorization: Bearer …'",
    403: "the key or this address may not use it",
    404: "is the path right? It usually ends in /v1/chat/completions",
    405: "try another --method",
    407: "the proxy requires a name and a password: --proxy http://USER:PASSWORD@HOST:PORT",
    422: "the body does not match the endpoint: pass it with --data, or the model with --model",
    429: "the server limits requests: wait, or use another key",
}

_HINTS_OF_API = {
    (401, MESSAGES.name): "pass the key with -H 'x-api-key: …' or in ANTHROPIC_API_KEY",
    **{
        (401, api.name): "pass the key with -H 'Authorization: Bearer …' or in OPENAI_API_KEY"
        for api in (CHAT, COMPLETIONS, RESPONSES)
    },
}

_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")

Watch = Callable[[Arrival], None]


async def fetch(
    request: Request, config: ClientConfig, *, hop: str, api: str, watch: Watch | None = None
) -> Exchange:
    """Send ``request`` and read the response to its end.

    URL and error of the exchange contain no secret of the request; head and body are unchanged.

    Raises:
        NetworkError, RemoteProtocolError: no response head arrived.
    """
    async with await open_stream(request, config) as stream:
        exchange = await _read(stream, hop=hop, api=api, watch=watch)
    return _cleaned(exchange, _secrets(request, config))


async def fetch_stream(
    request: Request, config: ClientConfig, *, hop: str, api: str, watch: Watch | None = None
) -> Exchange:
    """Send ``request`` like ``fetch``, and reject an error status or a web page.

    Raises:
        ResponseError: the status is not 2xx, or the response is a web page.
    """
    secrets = _secrets(request, config)
    async with await open_stream(request, config) as stream:
        await _require_success(stream, hop, api, secrets)
        exchange = await _read(stream, hop=hop, api=api, watch=watch)
        if _is_page(stream) and _came_at_once(exchange):
            raise ResponseError(_page_error(stream, hop, secrets))
    return _cleaned(exchange, secrets)


async def require_stream(stream: Stream, *, hop: str, api: str, secrets: tuple[str, ...]) -> None:
    """Reject a response that is not a stream; its body is read for the error message.

    Raises:
        ResponseError: the status is not 2xx, or the response is a web page.
    """
    await _require_success(stream, hop, api, secrets)
    if _is_page(stream):
        raise ResponseError(_page_error(stream, hop, secrets))


async def _require_success(stream: Stream, hop: str, api: str, secrets: tuple[str, ...]) -> None:
    if not 200 <= stream.head.status < 300:
        raise ResponseError(await _refusal(stream, hop, api, secrets))


def _is_page(stream: Stream) -> bool:
    return (stream.head.get("content-type") or "").lower().startswith("text/html")


def _came_at_once(exchange: Exchange) -> bool:
    """Return whether a page was sent whole, like a login or error page, and not streamed."""
    arrivals = exchange.arrivals
    return not arrivals or arrivals[-1].at_ns - arrivals[0].at_ns < _WHOLE_PAGE_NS


def _page_error(stream: Stream, hop: str, secrets: tuple[str, ...]) -> str:
    return (
        f"{hop} ({_shown_url(stream, secrets)}) answered with a web page (text/html) "
        f"instead of a stream: is the path right?"
    )


async def _read(stream: Stream, *, hop: str, api: str, watch: Watch | None) -> Exchange:
    arrivals: list[Arrival] = []
    async for arrival in stream:
        arrivals.append(arrival)
        if watch is not None:
            watch(arrival)
    return finished(stream, tuple(arrivals), hop=hop, api=api)


def finished(stream: Stream, arrivals: tuple[Arrival, ...], *, hop: str, api: str) -> Exchange:
    """Return the exchange of a stream that was read to its end or abandoned."""
    last = arrivals[-1].at_ns if arrivals else stream.stamps.start_ns
    return Exchange(
        hop=hop,
        url=redact_url(stream.url),
        api=api,
        stamps=stream.stamps,
        head=stream.head,
        arrivals=arrivals,
        ending=stream.ending or Ending.TIMEOUT,
        ended_ns=last if stream.ended_ns is None else stream.ended_ns,
        clock=stream.clock,
        step_ns=stream.step_ns,
        error=stream.error,
    )


def _cleaned(exchange: Exchange, secrets: tuple[str, ...]) -> Exchange:
    error = None if exchange.error is None else clean_text(exchange.error, secrets)
    return replace(exchange, url=clean_text(exchange.url, secrets), error=error)


def _secrets(request: Request, config: ClientConfig) -> tuple[str, ...]:
    urls = [request.url] if config.proxy is None else [request.url, config.proxy]
    return secrets_in(request.headers, urls)


def _shown_url(stream: Stream, secrets: tuple[str, ...]) -> str:
    return clean_text(redact_url(stream.url), secrets)


async def _refusal(stream: Stream, hop: str, api: str, secrets: tuple[str, ...]) -> str:
    body = bytearray()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_REFUSAL_S):
            async for arrival in stream:
                body += arrival.data
                if len(body) > _REFUSAL_BYTES:
                    break
    status = stream.head.status
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    text = f"{hop} ({_shown_url(stream, secrets)}) answered {status} {phrase}".rstrip()
    # Redacted before it is shortened, because half a key would not be recognised.
    if said := _summary(clean_text(body.decode("utf-8", "replace"), secrets)):
        text += f": {said}"
    if hint := _HINTS_OF_API.get((status, api)) or _HINTS.get(status):
        text += f" [{hint}]"
    return text


def _summary(body: str) -> str:
    """Return the title of an HTML error body, or else its text, on one line."""
    page = _TITLE.search(body) if body.lstrip().startswith("<") else None
    words = " ".join((page[1] if page else body).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown}…"


def with_timeout(config: ClientConfig, seconds: float) -> ClientConfig:
    """Return ``config`` with another limit for the whole exchange."""
    return replace(config, timeout_s=seconds)
