"""One connection of the simulator: requests in, scripts played, one after the other."""

from __future__ import annotations

import socket
import time
from collections import deque
from select import EPOLLIN, EPOLLOUT, EPOLLRDHUP
from typing import Protocol

from undam.http1.request_parser import CONTINUE
from undam.simulator.dispatcher import Desk, Reply
from undam.simulator.ground_truth import EndReason, Truth
from undam.simulator.http import Request, RequestReader
from undam.simulator.outbox import Outbox
from undam.simulator.stream import Script, State, Stream
from undam.wire import stamp
from undam.wire.clock import realtime_offset_ns

# What a reader may be behind before its schedule waits; the kernel keeps some megabytes besides.
_MAX_HELD_BYTES = 256 << 10

# How long a client that was refused may go on sending, so that it reads why instead of a reset.
_LINGER_NS = 2_000_000_000


class Owner(Protocol):
    """What a connection needs of the server."""

    desk: Desk
    truth: Truth

    def wake_at(self, connection: Connection, due_ns: int) -> None:
        """Call ``connection.turn`` at ``due_ns``, CLOCK_MONOTONIC, instead of any time before."""
        ...

    def watch(self, connection: Connection, mask: int) -> None:
        """Watch the socket for ``mask``."""
        ...

    def forget(self, connection: Connection) -> None:
        """Watch it no more."""
        ...


class Connection:
    """The state of one accepted socket; the server calls `ready` and `turn`."""

    __slots__ = (
        "_free_ns", "_interest", "_last", "_lingering", "_outbox", "_owner", "_paused", "_reader",
        "_realtime_ns", "_script", "_stream", "_waiting", "closed", "sock", "wake_ns",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, owner: Owner) -> None:
        self.sock = sock
        self.closed = False
        self.wake_ns = 0
        self._owner = owner
        self._outbox = Outbox(sock, owner.truth)
        self._reader = RequestReader()
        self._waiting: deque[Request] = deque()
        self._script: Script | None = None
        self._stream: Stream | None = None
        self._realtime_ns = 0
        self._free_ns = 0
        self._interest = 0
        self._paused = False
        self._last = False
        self._lingering = False
        self._watch()

    def ready(self, mask: int) -> None:
        """The socket is ready for ``mask``."""
        try:
            if mask & EPOLLOUT:
                self._flush()
            if mask & EPOLLIN and not self.closed:
                self._read()
            if mask & ~(EPOLLIN | EPOLLOUT) and not (self.closed or mask & EPOLLIN):
                # Half-closed counts as gone, as with nginx: no client of these APIs half-closes.
                self.close("client-left")
        except BlockingIOError:
            pass
        except OSError:
            self.close("client-left")
        if not self.closed:
            self._watch()

    def turn(self, now_ns: int) -> None:
        """The time asked for has come; ``now_ns`` is CLOCK_MONOTONIC."""
        if self._lingering:
            self.close("complete")
            return
        stream = self._stream
        if stream is None:
            return
        if self._outbox.held > _MAX_HELD_BYTES:
            self._paused = True
            return
        try:
            data, marks = stream.take(now_ns + self._realtime_ns)
            if data:
                self._outbox.send(data, marks)
            wake_ns = stream.wake_ns
            if wake_ns is not None:
                self._owner.wake_at(self, wake_ns - self._realtime_ns)
                if not self._outbox.held:
                    return
            else:
                self._settle()
        except OSError:
            self.close("client-left")
        if not self.closed:
            self._watch()

    def close(self, reason: EndReason) -> None:
        """Close the socket; an exchange that is still open ended for ``reason``."""
        if self.closed:
            return
        self.closed = True
        self._end(reason)
        self._owner.forget(self)
        self.sock.close()

    def _read(self) -> None:
        read = stamp.read(self.sock)
        if not read.data:
            self.close("client-left")
        elif not self._lingering:
            self._waiting.extend(self._reader.receive_data(read.data, read.at_ns))
            if self._reader.take_continue() and not self._waiting:
                self._outbox.send(CONTINUE)
            self._serve()

    def _serve(self) -> None:
        """Answer the requests that are whole, up to the next that takes time."""
        while self._waiting and self._script is None and not self._last:
            request = self._waiting.popleft()
            now_ns = time.time_ns()
            start_ns = max(request.arrived_ns, self._free_ns)
            got = self._owner.desk.answer(request, start_ns=start_ns, now_ns=now_ns)
            if isinstance(got, Reply):
                self._outbox.send(got.data)
                self._last = not got.keep_alive
            else:
                self._play(got, now_ns)
        problem = self._reader.problem
        if problem is not None and self._script is None and not self._last:
            self._outbox.send(self._owner.desk.last_words(problem).data)
            self._last = self._lingering = True
            self._owner.wake_at(self, time.monotonic_ns() + _LINGER_NS)
        self._settle()

    def _play(self, script: Script, now_ns: int) -> None:
        self._owner.truth.request(script.ident, script.arrived_ns, script.path)
        # Due times are CLOCK_REALTIME, since a client compares them with its stamps, but the
        # waiting is done on CLOCK_MONOTONIC with the difference as it is now: a step of the
        # clock moves neither this stream nor the others, and the next request sees the new time.
        self._realtime_ns = realtime_offset_ns()
        self._script = script
        self._stream = stream = Stream(script, now_ns)
        self._outbox.begin(script.ident)
        if not script.head_late:
            self._outbox.send(script.head)
        if stream.wake_ns is not None:
            self._owner.wake_at(self, stream.wake_ns - self._realtime_ns)

    def _settle(self) -> None:
        """Do what follows once all bytes are with the kernel."""
        if self._outbox.held:
            return
        if self._stream is not None:
            if self._stream.state is State.DIED:
                self.close("died")
                return
            if self._stream.state is State.COMPLETE:
                assert self._script is not None
                self._last = not self._script.keep_alive
                self._end("complete")
                self._free_ns = time.time_ns()
                if not self._last:
                    self._serve()
                    return
        if self._last and self._stream is None:
            if self._lingering:
                self.sock.shutdown(socket.SHUT_WR)
            else:
                self.close("complete")

    def _end(self, reason: EndReason) -> None:
        if self._script is None:
            return
        at_ns = time.time_ns()
        self._owner.truth.end(self._script.ident, reason, at_ns)
        self._owner.desk.exchanges.ended(self._script.ident, at_ns, finished=reason == "complete")
        self._script = self._stream = None

    def _flush(self) -> None:
        self._outbox.flush()
        if self._paused and self._outbox.held <= _MAX_HELD_BYTES:
            self._paused = False
            self._owner.wake_at(self, 0)
        self._settle()

    def _watch(self) -> None:
        # While an answer is on its way nothing is read: what a client sends ahead waits in the
        # kernel, and that it leaves is told by EPOLLRDHUP.
        mask = EPOLLRDHUP
        if self._lingering or (self._script is None and not self._last):
            mask |= EPOLLIN
        if self._outbox.held:
            mask |= EPOLLOUT
        if mask != self._interest:
            self._interest = mask
            self._owner.watch(self, mask)
