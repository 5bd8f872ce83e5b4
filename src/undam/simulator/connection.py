"""Client connection of the simulator; it answers requests one after the other."""

from __future__ import annotations

import socket
import time
from collections import deque
from typing import Protocol

from undam.http1.request_parser import CONTINUE
from undam.poller import DISCONNECTED, READABLE, WRITABLE
from undam.simulator.dispatcher import Dispatcher, Reply
from undam.simulator.ground_truth import EndReason, GroundTruthLog
from undam.simulator.http import HttpRequest, RequestReader
from undam.simulator.send_buffer import SendBuffer
from undam.simulator.stream import ScheduledStream, Script, StreamState
from undam.wire import timestamps
from undam.wire.clock import realtime_offset_ns

# Unsent bytes at which a slow reader's schedule is paused. The kernel buffers a few megabytes more.
_MAX_UNSENT_BYTES = 256 << 10

# Time for which a connection stays open after an error. A client that is still sending its request
# thus receives the error instead of a reset.
_LINGER_NS = 2_000_000_000


class ConnectionHost(Protocol):
    """The server's methods that a connection uses."""

    dispatcher: Dispatcher
    ground_truth: GroundTruthLog

    def wake_at(self, connection: Connection, due_ns: int) -> None:
        """Set the time of the next ``on_due`` call on ``connection`` to ``due_ns`` (monotonic)."""
        ...

    def watch(self, connection: Connection, mask: int) -> None:
        """Watch the connection's socket for the epoll events in ``mask``."""
        ...

    def forget(self, connection: Connection) -> None:
        """Stop watching the connection."""
        ...


class Connection:
    """State of one client connection; the server calls `on_ready` and `on_due`."""

    __slots__ = (
        "_free_ns",
        "_host",
        "_interest",
        "_last",
        "_lingering",
        "_paused",
        "_reader",
        "_realtime_ns",
        "_requests",
        "_script",
        "_send_buffer",
        "_stream",
        "closed",
        "sock",
        "wake_ns",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, host: ConnectionHost) -> None:
        self.sock = sock
        self.closed = False
        self.wake_ns = 0
        self._host = host
        self._send_buffer = SendBuffer(sock, host.ground_truth)
        self._reader = RequestReader()
        self._requests: deque[HttpRequest] = deque()
        self._script: Script | None = None
        self._stream: ScheduledStream | None = None
        self._realtime_ns = 0
        self._free_ns = 0
        self._interest = 0
        self._paused = False
        self._last = False
        self._lingering = False
        self._watch()

    def on_ready(self, mask: int) -> None:
        """Handle the socket events in ``mask``; see `undam.poller`."""
        try:
            if mask & WRITABLE:
                self._flush()
            if mask & READABLE and not self.closed:
                self._read()
            if mask & ~(READABLE | WRITABLE) and not (self.closed or mask & READABLE):
                # A half-closed connection is treated as closed, as in nginx, because clients of
                # these APIs do not half-close.
                self.close("client-left")
        except BlockingIOError:
            pass
        except OSError:
            self.close("client-left")
        if not self.closed:
            self._watch()

    def on_due(self, now_ns: int) -> None:
        """Send the data that is due at ``now_ns`` (CLOCK_MONOTONIC), the current time."""
        if self._lingering:
            self.close("complete")
            return
        stream = self._stream
        if stream is None:
            return
        if self._send_buffer.unsent > _MAX_UNSENT_BYTES:
            self._paused = True
            return
        try:
            data, marks = stream.take(now_ns + self._realtime_ns)
            if data:
                self._send_buffer.send(data, marks)
            wake_ns = stream.wake_ns
            if wake_ns is not None:
                self._host.wake_at(self, wake_ns - self._realtime_ns)
                if not self._send_buffer.unsent:
                    return
            else:
                self._settle()
        except OSError:
            self.close("client-left")
        if not self.closed:
            self._watch()

    def close(self, reason: EndReason) -> None:
        """Close the socket, and record ``reason`` for an exchange in progress."""
        if self.closed:
            return
        self.closed = True
        self._end(reason)
        self._host.forget(self)
        self.sock.close()

    def _read(self) -> None:
        read = timestamps.read(self.sock)
        if not read.data:
            self.close("client-left")
        elif not self._lingering:
            self._requests.extend(self._reader.receive_data(read.data, read.at_ns))
            if self._reader.take_continue() and not self._requests:
                self._send_buffer.send(CONTINUE)
            self._serve()

    def _serve(self) -> None:
        """Answer complete requests, up to the first one whose response has a schedule."""
        while self._requests and self._script is None and not self._last:
            request = self._requests.popleft()
            now_ns = time.time_ns()
            start_ns = max(request.arrived_ns, self._free_ns)
            answer = self._host.dispatcher.answer(request, start_ns=start_ns, now_ns=now_ns)
            if isinstance(answer, Reply):
                self._send_buffer.send(answer.data)
                self._last = not answer.keep_alive
            else:
                self._start(answer, now_ns)
        problem = self._reader.problem
        if problem is not None and self._script is None and not self._last:
            self._send_buffer.send(self._host.dispatcher.reject_unreadable(problem).data)
            self._last = self._lingering = True
            self._host.wake_at(self, time.monotonic_ns() + _LINGER_NS)
        self._settle()

    def _start(self, script: Script, now_ns: int) -> None:
        self._host.ground_truth.request(script.exchange_id, script.arrived_ns, script.path)
        # Due times are in CLOCK_REALTIME, because clients compare them with their own timestamps.
        # Timers use CLOCK_MONOTONIC and the current offset between the two clocks. A clock step
        # therefore affects only later requests, not running streams.
        self._realtime_ns = realtime_offset_ns()
        self._script = script
        self._stream = stream = ScheduledStream(script, now_ns)
        self._send_buffer.begin(script.exchange_id)
        if not script.head_late:
            self._send_buffer.send(script.head)
        if stream.wake_ns is not None:
            self._host.wake_at(self, stream.wake_ns - self._realtime_ns)

    def _settle(self) -> None:
        """Once the kernel has accepted all bytes, continue or close the connection."""
        if self._send_buffer.unsent:
            return
        if self._stream is not None:
            if self._stream.state is StreamState.DIED:
                self.close("died")
                return
            if self._stream.state is StreamState.COMPLETE:
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
        self._host.ground_truth.end(self._script.exchange_id, reason, at_ns)
        self._host.dispatcher.exchanges.ended(
            self._script.exchange_id, at_ns, finished=reason == "complete"
        )
        self._script = self._stream = None

    def _flush(self) -> None:
        self._send_buffer.flush()
        if self._paused and self._send_buffer.unsent <= _MAX_UNSENT_BYTES:
            self._paused = False
            self._host.wake_at(self, 0)
        self._settle()

    def _watch(self) -> None:
        # Nothing is read during a response: pipelined requests stay in the kernel's buffer, and the
        # DISCONNECTED event shows whether the client has disconnected.
        mask = DISCONNECTED
        if self._lingering or (self._script is None and not self._last):
            mask |= READABLE
        if self._send_buffer.unsent:
            mask |= WRITABLE
        if mask != self._interest:
            self._interest = mask
            self._host.watch(self, mask)
