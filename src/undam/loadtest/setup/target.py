"""Where the requests of a test go: its addresses, and whether anybody listens there."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from typing import Any

from undam.errors import NetworkError, UsageError
from undam.wire import ClientConfig, Target
from undam.wire.connect import find_addresses, open_connection

# Beside a worker's connections: its pipes, the interpreter's own files, and some room.
_OTHER_FILES = 64


async def resolve_reachable(
    target: Target, config: ClientConfig
) -> tuple[tuple[int, tuple[Any, ...]], ...]:
    """The addresses of ``target``, once one of them has taken a connection.

    Raises:
        NetworkError: it has none, or nobody listens.
    """
    try:
        async with asyncio.timeout(config.connect_timeout_s):
            found, _ = await find_addresses(target.host, target.port, config.resolve)
            (await open_connection(list(found))).close()
    except TimeoutError:
        raise NetworkError(
            f"{target.authority} did not take a connection within {config.connect_timeout_s:g} s",
            phase="connect",
        ) from None
    return tuple((int(address.family), tuple(address.sockaddr)) for address in found)


def raise_file_limit(wanted: int) -> None:
    """Let this process and those it starts have as many open files as the system allows.

    Args:
        wanted: connections of one worker at once.

    Raises:
        UsageError: that is fewer than ``wanted``; says how many workers would do.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = soft - _OTHER_FILES
    if soft != resource.RLIM_INFINITY and wanted > room:
        raise UsageError(
            f"{wanted} connections of one worker need more than the {soft} open files that this "
            f"system allows: raise `ulimit -Hn`, or take more --workers"
        )
