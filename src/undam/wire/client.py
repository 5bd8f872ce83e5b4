"""HTTP client for one request: it follows redirects and returns the response as a stream."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from undam.errors import RedirectError, RemoteProtocolError, UsageError
from undam.secrecy import clean_text, is_secret_header, redact_url
from undam.wire import timestamps
from undam.wire.channel import Channel
from undam.wire.config import ClientConfig, Request
from undam.wire.exchange_opener import ExchangeOpener, Redirected
from undam.wire.stream import Deadline, Stream
from undam.wire.url import Target, follow, parse_url, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


async def open_stream(request: Request, config: ClientConfig) -> Stream:
    """Send ``request`` on a new connection; return once the final response head has arrived.

    Redirects are followed as defined in RFC 9110 15.4 and implemented by browsers: 307 and 308
    repeat the request, 303 turns it into a GET, and 301 and 302 turn a POST into a GET. A redirect
    to another origin is followed only if ``config`` allows it, and never with the body or a secret
    of the request.

    Raises:
        UsageError: the URL, the proxy or a certificate file cannot be used.
        LocalProtocolError: the request cannot be written as HTTP.
        NetworkError: the server could not be reached, or failed before the head was complete.
        RemoteProtocolError: the response is not HTTP/1, or there are too many redirects.
        RedirectError: the response redirects to another origin or to an internal address.
    """
    rest_s = config.timeout_s - config.spent_s
    deadline = Deadline(config.timeout_s, asyncio.get_running_loop().time() + rest_s)
    await timestamps.warm_up()
    target = parse_url(request.url)
    visited: list[tuple[str, str]] = []
    redirected: Redirected = "no"
    while True:
        visited.append((request.method, target.text))
        opener = ExchangeOpener(request, target, config, deadline, redirected)
        stream = await opener.open(tuple(url for _, url in visited[:-1]))
        location = stream.head.get("location")
        if not config.max_redirects or stream.head.status not in _REDIRECTS or location is None:
            return stream
        await stream.aclose()
        following = _follow(target, location)
        same_origin = following.origin == target.origin
        if not same_origin:
            _require_permission(target, following, config)
            if not config.follow_internal and redirected != "from-public":
                redirected = "from-public" if opener.is_public else "from-internal"
        request = _redirect(request, stream.head.status, same_origin=same_origin)
        target = following
        _check_redirects(visited, (request.method, target.text), config.max_redirects)


async def open_again(channel: Channel, request: Request, config: ClientConfig) -> Stream:
    """Send ``request`` on a connection that was used before; redirects are not followed.

    The connection is closed if the request fails.

    Raises:
        UndamError: as for ``open_stream``; the server may have closed the idle connection.
    """
    deadline = Deadline(config.timeout_s, asyncio.get_running_loop().time() + config.timeout_s)
    opener = ExchangeOpener(request, parse_url(request.url), config, deadline)
    return await opener.open((), channel)


def _follow(target: Target, location: str) -> Target:
    try:
        return follow(target, location)
    except UsageError:
        raise RemoteProtocolError(
            f"{target.text} redirects to {redacted(location)!a}, which cannot be fetched"
        ) from None


def _require_permission(target: Target, following: Target, config: ClientConfig) -> None:
    if config.follow_origins:
        return
    location = clean_text(redact_url(following.text), ())
    raise RedirectError(
        f"{redact_url(target.text)} redirects to another origin: {location}; use that URL, or "
        f"--location to follow it without the body and secrets of the request",
        location=location,
    )


def _redirect(request: Request, status: int, *, same_origin: bool) -> Request:
    """Return the request to send after a redirect."""
    headers = request.headers
    if not same_origin:
        headers = tuple(
            (name, value)
            for name, value in headers
            if name.lower() not in {"host", *_BODY_HEADERS} and not is_secret_header(name, value)
        )
        request = replace(request, body=b"")
    see_other = status == 303 and request.method != "HEAD"
    if see_other or (status in {301, 302} and request.method == "POST"):
        headers = tuple(line for line in headers if line[0].lower() not in _BODY_HEADERS)
        return replace(request, method="GET", headers=headers, body=b"")
    return replace(request, headers=headers)


def _check_redirects(
    visited: list[tuple[str, str]], following: tuple[str, str], maximum: int
) -> None:
    """Raise RemoteProtocolError if the redirects form a loop or are too many."""
    chain = " -> ".join(url for _, url in [*visited, following])
    if following in visited:
        raise RemoteProtocolError(f"redirect loop: {chain}")
    if len(visited) > maximum:
        raise RemoteProtocolError(f"more than {maximum} redirects: {chain}")
