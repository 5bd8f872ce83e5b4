"""Target of a load test: its addresses, its HTTP version, and the open-file limit."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any, Literal, NamedTuple

from undam.errors import NetworkError, UsageError
from undam.host import raise_file_limit
from undam.wire import ClientConfig, Target
from undam.wire.channel import Channel
from undam.wire.connect import find_addresses, open_connection
from undam.wire.tls import TlsEngine, make_context

# Files that a worker has open besides its connections: pipes, interpreter files, and a reserve.
_OTHER_FILES = 64


class ReachableTarget(NamedTuple):
    """A target that accepts connections.

    Attributes:
        addresses: (family, sockaddr) pairs, best first.
        http_version: the version that all workers use.
    """

    addresses: tuple[tuple[int, tuple[Any, ...]], ...]
    http_version: Literal["1.1", "2"]


async def resolve_reachable(target: Target, config: ClientConfig) -> ReachableTarget:
    """Resolve ``target``, check that it accepts a connection, and determine the HTTP version.

    Raises:
        NetworkError: the name does not resolve, no address accepts a connection, or the server does
            not offer HTTP/2 although ``config`` requires it.
    """
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            found, _ = await find_addresses(target.host, target.port, config.resolve)
            channel = Channel(await open_connection(list(found)))
            with contextlib.closing(channel):
                version = await _choose_version(channel, target, config)
    except TimeoutError:
        raise NetworkError(
            f"{target.authority} did not accept a connection within {config.connect_timeout_s:g} s",
            phase="connect",
        ) from None
    addresses = tuple((int(address.family), tuple(address.sockaddr)) for address in found)
    return ReachableTarget(addresses, version)


async def _choose_version(
    channel: Channel, target: Target, config: ClientConfig
) -> Literal["1.1", "2"]:
    """Return the HTTP version that the server selects by ALPN, or that ``config`` requires.

    If the TLS handshake fails for another reason, HTTP/1.1 is returned, and the requests report
    the error.
    """
    if config.http_version == "1.1":
        return "1.1"
    if target.scheme == "http":
        return "2" if config.http_version == "2" else "1.1"
    with contextlib.suppress(OSError, EOFError, NetworkError):
        await channel.start_tls(TlsEngine(make_context(config), target.name))
    if channel.protocol == "h2":
        return "2"
    if config.http_version == "2":
        raise NetworkError(f"{target.authority} does not offer HTTP/2; try --http1", phase="tls")
    return "1.1"


def ensure_file_limit(wanted: int) -> None:
    """Raise the limit on open files to the maximum, for this process and its workers.

    Args:
        wanted: number of simultaneous connections of one worker.

    Raises:
        UsageError: the maximum is too low for ``wanted`` connections.
    """
    limit = raise_file_limit()
    if limit is not None and wanted > limit - _OTHER_FILES:
        raise UsageError(
            f"{wanted} connections per worker exceed the limit of {limit} open files: raise "
            f"`ulimit -Hn`, or use more --workers"
        )
