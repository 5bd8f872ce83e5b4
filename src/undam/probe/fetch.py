"""Sending a request and reading the whole response into an Exchange."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from undam.diagnosis.reading import is_whole_page
from undam.errors import ResponseError
from undam.probe.hints import hint_for
from undam.probe.secrecy import clean_text, secrets_in
from undam.record import Ending, Exchange, redact_url
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

# A page that takes longer is assumed to be streamed on purpose, as HTML fragments from an
# application are.
_WHOLE_PAGE_NS = 500_000_000

# Maximum length of an error body in a message. It fits a JSON error, but not a page.
_SHOWN = 600
_REFUSAL_BYTES = 65_536
_REFUSAL_S = 5.0

_TITLE = re.compile(r"(?is)<title[^>]*>(.*?)</title>")

Watch = Callable[[Arrival], None]
After = Callable[[Stream, Exchange], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request and its context, for messages about the response.

    Args:
        hop: the user's name for the server.
        api: name of the API that was requested.
    """

    request: Request
    config: ClientConfig
    hop: str
    api: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return the secret values in the request and in the proxy URL."""
        proxy = [] if self.config.proxy is None else [self.config.proxy]
        return secrets_in(self.request.headers, [self.request.url, *proxy])


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
    return _cleaned(exchange, SentRequest(request, config, hop, api).secrets)


async def fetch_stream(
    request: Request,
    config: ClientConfig,
    *,
    hop: str,
    api: str,
    watch: Watch | None = None,
    after: After | None = None,
) -> Exchange:
    """Send ``request`` like ``fetch``, but reject an error status or a web page.

    Args:
        after: called with the stream that was read to its end, before it is closed.

    Raises:
        ResponseError: the status is not 2xx, or the response is a web page.
    """
    sent = SentRequest(request, config, hop, api)
    async with await open_stream(request, config) as stream:
        await _require_success(stream, sent)
        exchange = await _read(stream, hop=hop, api=api, watch=watch)
        if _is_page(stream) and _is_whole_page(exchange):
            raise ResponseError(_page_error(stream, sent))
        if after is not None:
            await after(stream, exchange)
    return _cleaned(exchange, sent.secrets)


async def require_stream(stream: Stream, sent: SentRequest) -> None:
    """Reject a response that is not a stream. Its body is read for the error message.

    Raises:
        ResponseError: the status is not 2xx, or the response is a web page.
    """
    await _require_success(stream, sent)
    if _is_page(stream):
        raise ResponseError(_page_error(stream, sent))


async def _require_success(stream: Stream, sent: SentRequest) -> None:
    if not 200 <= stream.head.status < 300:
        text = await _refusal(stream, sent)
        wait = retry_after_s(stream.head.get("retry-after"), time.time())
        raise ResponseError(text, status=stream.head.status, retry_after_s=wait)


def retry_after_s(value: str | None, now_s: float) -> float | None:
    """Return the seconds that a Retry-After header requests; ``None`` if missing or invalid.

    Args:
        value: a number of seconds or a date (RFC 9110 10.2.3).
        now_s: Unix time, for a date.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now_s)
    except ValueError:
        return None


def _is_page(stream: Stream) -> bool:
    return (stream.head.get("content-type") or "").lower().startswith("text/html")


def _is_whole_page(exchange: Exchange) -> bool:
    """Return whether a page arrived whole, like login and error pages, not as a stream."""
    arrivals = exchange.arrivals
    if not arrivals:
        return True
    return arrivals[-1].at_ns - arrivals[0].at_ns < _WHOLE_PAGE_NS and is_whole_page(exchange)


def _page_error(stream: Stream, sent: SentRequest) -> str:
    return (
        f"{sent.hop} ({_shown_url(stream, sent.secrets)}) answered with a web page (text/html) "
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
    """Return the exchange for a stream that was read to its end or abandoned."""
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
        http2=stream.http2,
        error=stream.error,
        proxy=stream.proxy,
        tls_issuer=stream.tls_issuer,
        tls_expires_s=stream.tls_expires_s,
    )


def _cleaned(exchange: Exchange, secrets: tuple[str, ...]) -> Exchange:
    error = None if exchange.error is None else clean_text(exchange.error, secrets)
    return replace(exchange, url=clean_text(exchange.url, secrets), error=error)


def _shown_url(stream: Stream, secrets: tuple[str, ...]) -> str:
    return clean_text(redact_url(stream.url), secrets)


async def _refusal(stream: Stream, sent: SentRequest) -> str:
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
    text = f"{sent.hop} ({_shown_url(stream, sent.secrets)}) answered {status} {phrase}".rstrip()
    content = body.decode("utf-8", "replace")
    # The content is redacted before it is shortened, because half a key would not be recognised.
    if summary := _summary(clean_text(content, sent.secrets)):
        text += f": {summary}"
    hint = hint_for(
        status,
        api=sent.api,
        request=sent.request,
        body=content,
        environ=sent.config.environ,
        challenge=stream.head.get("www-authenticate") or "",
    )
    return f"{text} [{hint}]" if hint else text


def _summary(body: str) -> str:
    """Return the title of an HTML error body or the text of any other body, on one line."""
    page = _TITLE.search(body) if body.lstrip().startswith("<") else None
    words = " ".join((page[1] if page else body).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown}…"


def with_timeout(config: ClientConfig, seconds: float) -> ClientConfig:
    """Return ``config`` with a different time limit for the whole exchange."""
    return replace(config, timeout_s=seconds)
