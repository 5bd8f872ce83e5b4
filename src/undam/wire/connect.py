"""From a host name to a connected socket that stamps its reads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from undam.errors import NetworkError
from undam.wire import stamp
from undam.wire.url import bracketed

# RFC 8305 5: how long an address has before the next one is tried beside it.
_HEAD_START_S = 0.25

_WORDS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ECONNRESET: "connection reset",
    errno.EAFNOSUPPORT: "this machine has no such network",
}


@dataclass(frozen=True, slots=True)
class Address:
    """One address of a host, as sockets take it."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def text(self) -> str:
        """The address and port as they may be shown."""
        return f"{bracketed(str(self.sockaddr[0]))}:{self.sockaddr[1]}"


@dataclass(frozen=True, slots=True)
class Connected:
    """A connected socket; ``dns_ns`` is ``None`` where no name was looked up."""

    sock: socket.socket
    dns_ns: int | None
    connect_ns: int


async def find_addresses(
    host: str, port: int, resolve: tuple[tuple[str, int, str], ...] = ()
) -> tuple[list[Address], int | None]:
    """The addresses of a host, best first, and when the look-up ended (``None``: none was needed).

    Raises:
        NetworkError: phase "dns"; the host has no address.
    """
    named = [to for name, at, to in resolve if (name, at) == (host.removesuffix("."), port)]
    literals = named or ([host] if _is_literal(host) else [])
    found: list[Address] = []
    try:
        for literal in literals:
            found += _addresses(socket.getaddrinfo(literal, port, type=socket.SOCK_STREAM))
        if not literals:
            found += _addresses(await _look_up(host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NetworkError(f"cannot find host '{host}': {reason}", phase="dns") from None
    return found, None if literals else time.time_ns()


async def _look_up(host: str, port: int) -> list[tuple[Any, ...]]:
    """getaddrinfo in a thread that nobody waits for.

    The loop's own would be waited for at the end of the program, and a resolver may take half a
    minute to give up on a name server that is silent.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def hand_over(rows: list[tuple[Any, ...]], error: Exception | None) -> None:
        if found.cancelled():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(rows)

    def ask() -> None:
        rows: list[tuple[Any, ...]] = []
        fault: Exception | None = None
        try:
            rows = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            fault = error
        # The loop may be closed by now.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(hand_over, rows, fault)

    threading.Thread(target=ask, name=f"look up {host}", daemon=True).start()
    return await found


def _addresses(rows: Iterable[tuple[Any, ...]]) -> list[Address]:
    return [Address(row[0], row[4]) for row in rows]


async def open_connection(addresses: list[Address]) -> socket.socket:
    """Connect to whichever address answers first, each with a head start over the next.

    Raises:
        NetworkError: phase "connect"; names every address and what came of it.
    """
    waiting = list(addresses)
    running: dict[asyncio.Task[socket.socket | OSError], Address] = {}
    faults: list[tuple[Address, OSError]] = []
    try:
        while waiting or running:
            if waiting:
                address = waiting.pop(0)
                running[asyncio.ensure_future(_attempt(address))] = address
            done, _ = await asyncio.wait(
                running,
                timeout=_HEAD_START_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                outcome, address = task.result(), running.pop(task)
                if isinstance(outcome, socket.socket):
                    return outcome
                faults.append((address, outcome))
    finally:
        await _discard(list(running))
    raise NetworkError(_refusal(faults), phase="connect")


async def _attempt(address: Address) -> socket.socket | OSError:
    """A connected socket, or why there is none."""
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(address.family, socket.SOCK_STREAM))
            sock.setblocking(False)
            stamp.enable(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
        except OSError as error:
            return error
        undo.pop_all()
        return sock


async def _discard(losers: list[asyncio.Task[socket.socket | OSError]]) -> None:
    for task in losers:
        task.cancel()
    for outcome in await asyncio.gather(*losers, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _refusal(faults: list[tuple[Address, OSError]]) -> str:
    hint = " (is the server running?)"
    refused = all(error.errno == errno.ECONNREFUSED for _, error in faults)
    if len(faults) == 1:
        address, error = faults[0]
        if refused:
            return f"connection refused by {address.text}{hint}"
        return f"cannot connect to {address.text}: {describe(error)}"
    each = "; ".join(f"{address.text}: {describe(error)}" for address, error in faults)
    return f"cannot connect to any address: {each}{hint if refused else ''}"


def describe(error: OSError) -> str:
    """What a socket error means, in few words."""
    if error.errno in _WORDS:
        return _WORDS[error.errno]
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


def _is_literal(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
