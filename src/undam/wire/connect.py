"""DNS lookup and connection setup, up to a connected socket with receive timestamps."""

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
from undam.wire import timestamps
from undam.wire.url import bracketed

# Connection attempt delay (RFC 8305, 5): the next address is then tried in parallel.
_ATTEMPT_DELAY_S = 0.25

_ERROR_TEXTS = {
    errno.ECONNREFUSED: "connection refused",
    errno.ETIMEDOUT: "no answer",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETUNREACH: "network is unreachable",
    errno.ECONNRESET: "connection reset",
    errno.EAFNOSUPPORT: "this machine does not support the address family",
}


@dataclass(frozen=True, slots=True)
class Address:
    """Socket address of a host."""

    family: int
    sockaddr: tuple[Any, ...]

    @property
    def text(self) -> str:
        """Address and port, as shown in messages."""
        return f"{bracketed(str(self.sockaddr[0]))}:{self.sockaddr[1]}"


async def find_addresses(
    host: str, port: int, resolve: tuple[tuple[str, int, str], ...] = ()
) -> tuple[list[Address], int | None]:
    """Return a host's addresses, best first, and the time at which the DNS lookup ended.

    The time is ``None`` if no lookup was necessary.

    Raises:
        NetworkError: phase "dns"; the host has no address.
    """
    overrides = [to for name, at, to in resolve if (name, at) == (host.removesuffix("."), port)]
    literals = overrides or ([host] if is_literal(host) else [])
    found: list[Address] = []
    try:
        for literal in literals:
            found += _addresses(socket.getaddrinfo(literal, port, type=socket.SOCK_STREAM))
        if not literals:
            found += _addresses(await _lookup(host, port))
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise NetworkError(f"cannot find host '{host}': {reason}", phase="dns") from None
    return found, None if literals else time.time_ns()


async def _lookup(host: str, port: int) -> list[tuple[Any, ...]]:
    """Look up a host with getaddrinfo in a daemon thread.

    When the program ends, asyncio waits for its own resolver threads. A resolver may take half a
    minute to give up if a name server does not respond.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[tuple[Any, ...]]] = loop.create_future()

    def deliver(rows: list[tuple[Any, ...]], error: Exception | None) -> None:
        if found.cancelled():
            return
        if error is not None:
            found.set_exception(error)
        else:
            found.set_result(rows)

    def run() -> None:
        rows: list[tuple[Any, ...]] = []
        fault: Exception | None = None
        try:
            rows = list(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            fault = error
        # RuntimeError means that the loop has already been closed.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, rows, fault)

    threading.Thread(target=run, name=f"DNS lookup of {host}", daemon=True).start()
    return await found


def _addresses(rows: Iterable[tuple[Any, ...]]) -> list[Address]:
    return [Address(row[0], row[4]) for row in rows]


async def open_connection(addresses: list[Address]) -> socket.socket:
    """Connect to the first address that accepts the connection (Happy Eyeballs, RFC 8305).

    Raises:
        NetworkError: phase "connect"; the message lists every address and its error.
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
                timeout=_ATTEMPT_DELAY_S if waiting else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in done:
                outcome, address = task.result(), running.pop(task)
                if isinstance(outcome, socket.socket):
                    return outcome
                faults.append((address, outcome))
    finally:
        await _cancel(list(running))
    raise NetworkError(_failure(faults), phase="connect")


async def _attempt(address: Address) -> socket.socket | OSError:
    """Return a connected socket, or the error if the connection failed."""
    with contextlib.ExitStack() as undo:
        try:
            sock = undo.enter_context(socket.socket(address.family, socket.SOCK_STREAM))
            sock.setblocking(False)
            timestamps.enable(sock)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, address.sockaddr)
        except OSError as error:
            return error
        undo.pop_all()
        return sock


async def _cancel(attempts: list[asyncio.Task[socket.socket | OSError]]) -> None:
    for task in attempts:
        task.cancel()
    for outcome in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(outcome, socket.socket):
            outcome.close()


def _failure(faults: list[tuple[Address, OSError]]) -> str:
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
    """Return a short description of a socket error."""
    if error.errno in _ERROR_TEXTS:
        return _ERROR_TEXTS[error.errno]
    return os.strerror(error.errno).lower() if error.errno else str(error) or type(error).__name__


def is_literal(host: str) -> bool:
    """Return whether a host is an IP address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
