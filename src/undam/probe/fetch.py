"""One request, read to its end, as an Exchange."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus

from undam.errors import ResponseError
from undam.record import Ending, Exchange, redact_text, redact_url
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

# What is shown of a refusal: enough for a JSON error, no whole page.
_SHOWN_BYTES = 600
_REFUSAL_BYTES = 65_536
_REFUSAL_S = 5.0

_HINTS = {
    401: "pass the key with -H 'Authorization: Bearer …' or in OPENAI_API_KEY",
    403: "the key or this address may not use it",
    404: "is the path right? It usually ends in /v1/chat/completions",
    405: "try another --method",
    407: "the proxy wants a name and a password: --proxy http://USER:PASSWORD@HOST:PORT",
    422: "the body does not fit: give it with --data, or the model with --model",
    429: "the server limits requests: wait, or use another key",
}

Watch = Callable[[Arrival], None]


async def fetch(
    request: Request, config: ClientConfig, *, hop: str, api: str, watch: Watch | None = None
) -> Exchange:
    """Send ``request`` and read the answer to its end, whatever that is.

    Raises:
        NetworkError, RemoteProtocolError: there is no response head.
    """
    async with await open_stream(request, config) as stream:
        arrivals: list[Arrival] = []
        async for arrival in stream:
            arrivals.append(arrival)
            if watch is not None:
                watch(arrival)
        return finished(stream, tuple(arrivals), hop=hop, api=api)


async def fetch_stream(
    request: Request, config: ClientConfig, *, hop: str, api: str, watch: Watch | None = None
) -> Exchange:
    """Like ``fetch``, but a refusal or a web page is an error.

    Raises:
        ResponseError: the status is none of success, or the answer is a page.
    """
    async with await open_stream(request, config) as stream:
        if not 200 <= stream.head.status < 300:
            raise ResponseError(await _refusal(stream, hop))
        kind = (stream.head.get("content-type") or "").lower()
        if kind.startswith("text/html"):
            raise ResponseError(
                f"{hop} ({redact_url(stream.url)}) answered with a web page (text/html), not with "
                f"a stream: is the path right?"
            )
        arrivals: list[Arrival] = []
        async for arrival in stream:
            arrivals.append(arrival)
            if watch is not None:
                watch(arrival)
        return finished(stream, tuple(arrivals), hop=hop, api=api)


def finished(stream: Stream, arrivals: tuple[Arrival, ...], *, hop: str, api: str) -> Exchange:
    """The exchange of a stream that has been read."""
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


async def _refusal(stream: Stream, hop: str) -> str:
    body = bytearray()
    async for arrival in stream:
        body += arrival.data
        if len(body) > _REFUSAL_BYTES:
            break
    status = stream.head.status
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    said = " ".join(body[:_SHOWN_BYTES].decode("utf-8", "replace").split())
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in said)
    text = f"{hop} ({redact_url(stream.url)}) answered {status} {phrase}".rstrip()
    if printable:
        text += f": {redact_text(printable)}"
    if hint := _HINTS.get(status):
        text += f" [{hint}]"
    return text


def patient(config: ClientConfig, seconds: float) -> ClientConfig:
    """``config`` with another limit for the whole exchange."""
    return replace(config, timeout_s=seconds)
