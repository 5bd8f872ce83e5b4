"""Send one request and hand up the response as a stream, following redirects."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from undam.errors import RemoteProtocolError, UsageError
from undam.wire import stamp
from undam.wire.config import ClientConfig, Request
from undam.wire.handshake import Opening
from undam.wire.request import CREDENTIAL_HEADERS
from undam.wire.stream import Deadline, Stream
from undam.wire.url import Target, follow, parse_url, redacted

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BODY_HEADERS = frozenset({"content-type", "content-length", "content-encoding"})


async def open_stream(request: Request, config: ClientConfig) -> Stream:
    """Send ``request`` on a connection of its own; returns when the final head is in.

    Redirects are followed as RFC 9110 15.4 says and browsers do: 307 and 308 repeat the request,
    303 becomes a GET, and so does a POST at 301 and 302. Credentials never go to another origin.

    Raises:
        UsageError: the URL, the proxy or a certificate file cannot be used.
        LocalProtocolError: the request cannot be written as HTTP.
        NetworkError: the server could not be reached, or stopped before the head was in.
        RemoteProtocolError: what came is no HTTP/1 response, or redirects without end.
    """
    deadline = Deadline(config.timeout_s, asyncio.get_running_loop().time() + config.timeout_s)
    await stamp.warm()
    target = parse_url(request.url)
    asked: list[tuple[str, str]] = []
    while True:
        asked.append((request.method, target.text))
        stream = await Opening(request, target, config, deadline).open(
            tuple(url for _, url in asked[:-1])
        )
        location = stream.head.get("location")
        if not config.max_redirects or stream.head.status not in _REDIRECTS or location is None:
            return stream
        await stream.aclose()
        found = _follow(target, location)
        request = _repeated(request, stream.head.status, same=found.origin == target.origin)
        target = found
        _bound(asked, (request.method, target.text), config.max_redirects)


def _follow(target: Target, location: str) -> Target:
    try:
        return follow(target, location)
    except UsageError:
        raise RemoteProtocolError(
            f"{target.text} redirects to {redacted(location)!a}, which cannot be fetched"
        ) from None


def _repeated(request: Request, status: int, *, same: bool) -> Request:
    """The request as it is sent to where a redirect points; ``same`` is for the same origin."""
    headers = request.headers
    if not same:
        dropped = CREDENTIAL_HEADERS | {"host"}
        headers = tuple(line for line in headers if line[0].lower() not in dropped)
    turned = status == 303 and request.method != "HEAD"
    if turned or (status in {301, 302} and request.method == "POST"):
        headers = tuple(line for line in headers if line[0].lower() not in _BODY_HEADERS)
        return replace(request, method="GET", headers=headers, body=b"")
    return replace(request, headers=headers)


def _bound(asked: list[tuple[str, str]], ask: tuple[str, str], most: int) -> None:
    way = " -> ".join(url for _, url in [*asked, ask])
    if ask in asked:
        raise RemoteProtocolError(f"redirect loop: {way}")
    if len(asked) > most:
        raise RemoteProtocolError(f"more than {most} redirects: {way}")
