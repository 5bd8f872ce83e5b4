"""HTTP client for a single request: it follows redirects and returns the response as a stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from undam.errors import RemoteProtocolError, UsageError
from undam.wire import timestamps
from undam.wire.config import ClientConfig, Request
from undam.wire.exchange_opener import ExchangeOpener
from undam.wire.request import CREDENTIAL_HEADERS
from undam.wire.stream import Deadline, Stream
from undam.wire.url import Target, follow, parse_url, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


async def open_stream(request: Request, config: ClientConfig) -> Stream:
    """Send ``request`` on a new connection; return when the final response head has arrived.

    Redirects are followed as defined in RFC 9110 15.4 and implemented by browsers: 307 and 308
    repeat the request, 303 turns it into a GET, and 301 and 302 turn a POST into a GET. Credentials
    are never sent to another origin.

    Raises:
        UsageError: the URL, the proxy or a certificate file cannot be used.
        LocalProtocolError: the request cannot be written as HTTP.
        NetworkError: the server could not be reached, or failed before the head was complete.
        RemoteProtocolError: the response is not HTTP/1, or there are too many redirects.
    """
    deadline = Deadline(config.timeout_s, asyncio.get_running_loop().time() + config.timeout_s)
    await timestamps.warm_up()
    target = parse_url(request.url)
    visited: list[tuple[str, str]] = []
    while True:
        visited.append((request.method, target.text))
        stream = await ExchangeOpener(request, target, config, deadline).open(
            tuple(url for _, url in visited[:-1])
        )
        location = stream.head.get("location")
        if not config.max_redirects or stream.head.status not in _REDIRECTS or location is None:
            return stream
        await stream.aclose()
        redirected = _follow(target, location)
        same_origin = redirected.origin == target.origin
        request = _redirect(request, stream.head.status, same_origin=same_origin)
        target = redirected
        _check_redirects(visited, (request.method, target.text), config.max_redirects)


def _follow(target: Target, location: str) -> Target:
    try:
        return follow(target, location)
    except UsageError:
        raise RemoteProtocolError(
            f"{target.text} redirects to {redacted(location)!a}, which cannot be fetched"
        ) from None


def _redirect(request: Request, status: int, *, same_origin: bool) -> Request:
    """Return the request to send to the target of a redirect."""
    headers = request.headers
    if not same_origin:
        dropped = CREDENTIAL_HEADERS | {"host"}
        headers = tuple(line for line in headers if line[0].lower() not in dropped)
    see_other = status == 303 and request.method != "HEAD"
    if see_other or (status in {301, 302} and request.method == "POST"):
        headers = tuple(line for line in headers if line[0].lower() not in _BODY_HEADERS)
        return replace(request, method="GET", headers=headers, body=b"")
    return replace(request, headers=headers)


def _check_redirects(
    visited: list[tuple[str, str]], following: tuple[str, str], maximum: int
) -> None:
    """Raise RemoteProtocolError for a loop, or for more redirects than allowed."""
    chain = " -> ".join(url for _, url in [*visited, following])
    if following in visited:
        raise RemoteProtocolError(f"redirect loop: {chain}")
    if len(visited) > maximum:
        raise RemoteProtocolError(f"more than {maximum} redirects: {chain}")
