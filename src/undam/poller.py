"""Readiness of many sockets: epoll on Linux, `selectors` on other systems."""

from __future__ import annotations

import select
import selectors
import socket
import sys
from typing import Protocol

READABLE = 0x001
WRITABLE = 0x004
DISCONNECTED = 0x2000
"""The peer has closed its end, even if nothing is read. The values are those of epoll."""


class Poller(Protocol):
    """Watched file descriptors, each with a mask of flags such as ``READABLE``."""

    def register(self, fd: int, mask: int) -> None:
        """Watch ``fd``."""

    def modify(self, fd: int, mask: int) -> None:
        """Change the mask for ``fd``."""

    def unregister(self, fd: int) -> None:
        """Stop watching ``fd``."""

    def poll(self, timeout_s: float, most: int) -> list[tuple[int, int]]:
        """Return at most about ``most`` ready descriptors, each with its mask."""

    def fileno(self) -> int:
        """Return a descriptor that is readable while any watched one is ready, or -1."""

    def forget(self, fd: int) -> None:
        """Stop watching ``fd``, which is about to be closed."""

    def close(self) -> None:
        """Release the resources."""


class _EpollPoller:
    __slots__ = ("close", "fileno", "modify", "poll", "register", "unregister")

    def __init__(self) -> None:
        epoll = select.epoll()
        # Bound methods are stored, because a wrapper function would delay each read.
        self.register = epoll.register
        self.modify = epoll.modify
        self.unregister = epoll.unregister
        self.poll = epoll.poll
        self.fileno = epoll.fileno
        self.close = epoll.close

    def forget(self, fd: int) -> None:
        """Do nothing, because epoll removes a descriptor when it is closed."""


class SelectorPoller:
    """Poller for systems without epoll.

    A descriptor that is watched for ``DISCONNECTED`` only is watched for data, because `selectors`
    cannot distinguish the two.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int, mask: int) -> None:
        self._selector.register(fd, _events(mask))

    def modify(self, fd: int, mask: int) -> None:
        self._selector.modify(fd, _events(mask))

    def unregister(self, fd: int) -> None:
        self._selector.unregister(fd)

    def poll(self, timeout_s: float, most: int) -> list[tuple[int, int]]:
        ready = self._selector.select(timeout_s)
        return [(key.fd, _mask(events)) for key, events in ready]

    def fileno(self) -> int:
        """Return -1, because only some selectors have a file descriptor."""
        return -1

    def forget(self, fd: int) -> None:
        if fd in self._selector.get_map():
            self._selector.unregister(fd)

    def close(self) -> None:
        self._selector.close()


def _events(mask: int) -> int:
    events = selectors.EVENT_READ if mask & (READABLE | DISCONNECTED) else 0
    return events | (selectors.EVENT_WRITE if mask & WRITABLE else 0)


def _mask(events: int) -> int:
    mask = READABLE if events & selectors.EVENT_READ else 0
    return mask | (WRITABLE if events & selectors.EVENT_WRITE else 0)


def make_poller() -> Poller:
    """Return the best poller that this system supports."""
    return _EpollPoller() if hasattr(select, "epoll") else SelectorPoller()


def missing_features() -> str | None:
    """Return the feature that measurements need and this system lacks, or ``None``.

    Windows has no `recvmsg`, with which the arrival times are read.
    """
    if hasattr(socket.socket, "recvmsg") and hasattr(socket, "CMSG_SPACE"):
        return None
    return f"this system ({sys.platform}) has no recvmsg"
