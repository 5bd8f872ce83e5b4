"""Target of a load test: its addresses, a connection check, and the limit of open files."""

from __future__ import annotations

import asyncio
from typing import Any

from undam.errors import NetworkError, UsageError
from undam.host import raise_file_limit
from undam.wire import ClientConfig, Target
from undam.wire.connect import find_addresses, open_connection

# Open files of a worker beside its connections: pipes, files of the interpreter, and a reserve.
_OTHER_FILES = 64


async def resolve_reachable(
    target: Target, config: ClientConfig
) -> tuple[tuple[int, tuple[Any, ...]], ...]:
    """Resolve ``target`` and check that it accepts a connection.

    Raises:
        NetworkError: the name does not resolve, or no address accepts a connection.
    """
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            found, _ = await find_addresses(target.host, target.port, config.resolve)
            (await open_connection(list(found))).close()
    except TimeoutError:
        raise NetworkError(
            f"{target.authority} did not accept a connection within {config.connect_timeout_s:g} s",
            phase="connect",
        ) from None
    return tuple((int(address.family), tuple(address.sockaddr)) for address in found)


def ensure_file_limit(wanted: int) -> None:
    """Raise the limit of open files to the maximum, for this process and its workers.

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
