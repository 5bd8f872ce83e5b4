"""HTTP/2 model server in a thread; request bodies select the faults of each stream."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

from support.lossy_relay import plain_events
from undam.http2.frames import GOAWAY, encode_frame

HEAD = ((":status", "200"), ("content-type", "text/event-stream"))
REFUSED, INTERNAL = 7, 2
TOKENS = 8


@dataclass
class Http2Origin:
    """Listening server that counts its clients' streams.

    Attributes:
        open_streams: highest number of open streams on one connection.
        cancelled: number of streams that a client reset.
    """

    gap_s: float
    max_streams: int
    port: int = 0
    connections: int = 0
    open_streams: int = 0
    cancelled: int = 0
    requests: list[dict[str, str]] = field(default_factory=list)

    def url(self, scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.port}/v1/chat/completions"


class _Connection(asyncio.Protocol):
    def __init__(self, origin: Http2Origin) -> None:
        self._origin = origin
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: origin.max_streams}
        )
        self._bodies: dict[int, bytes] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._origin.connections += 1
        self._number = self._origin.connections
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        for task in self._tasks.values():
            task.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self._transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.RequestReceived):
                self._bodies[event.stream_id] = b""
                self._origin.requests.append({str(k): str(v) for k, v in event.headers})
            elif isinstance(event, h2.events.DataReceived):
                self._bodies[event.stream_id] += event.data
                self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.StreamEnded):
                one = event.stream_id
                self._tasks[one] = asyncio.ensure_future(self._respond(one, self._bodies.pop(one)))
                self._origin.open_streams = max(self._origin.open_streams, len(self._tasks))
            elif isinstance(event, h2.events.StreamReset):
                self._origin.cancelled += 1
                if (task := self._tasks.pop(event.stream_id, None)) is not None:
                    task.cancel()
        self._flush()

    def _flush(self) -> None:
        self._transport.write(self._h2.data_to_send())

    async def _respond(self, one: int, body: bytes) -> None:
        try:
            await self._stream(one, body.decode())
        finally:
            self._tasks.pop(one, None)

    async def _stream(self, one: int, body: str) -> None:
        fault = body.partition("fault-")[2].partition(" ")[0].partition('"')[0]
        is_first = len(self._origin.requests) == 1
        if fault == "refused" or (fault == "refused-once" and is_first):
            self._h2.reset_stream(one, REFUSED)
        elif fault == "unprocessed" and self._number == 1:
            self._send_goaway(0)
        elif fault == "garbage":
            self._transport.write(b"\xff" * 64)
        elif fault == "status":
            fields = ((":status", "429"), ("retry-after", "3"))
            self._h2.send_headers(one, fields, end_stream=True)
        else:
            await self._send_tokens(one, fault)
        self._flush()

    async def _send_tokens(self, one: int, fault: str) -> None:
        self._h2.send_headers(one, HEAD)
        self._flush()
        events = plain_events([f"word{n} " for n in range(TOKENS)])
        for number, event in enumerate(events[:TOKENS]):
            await asyncio.sleep(self._origin.gap_s)
            self._h2.send_data(one, event)
            self._flush()
            if number == 1 and fault == "hang":
                await asyncio.sleep(60)
            if number == 1 and fault == "reset":
                self._h2.reset_stream(one, INTERNAL)
                return
            if number == 1 and fault == "goaway":
                self._send_goaway(one)
                self._transport.close()
                return
            if number == 1 and fault == "graceful":
                self._send_goaway(one)
        self._h2.send_data(one, b"".join(events[TOKENS:]), end_stream=fault != "trailers")
        if fault == "trailers":
            self._h2.send_headers(one, (("grpc-status", "0"),), end_stream=True)

    def _send_goaway(self, last_stream_id: int) -> None:
        payload = last_stream_id.to_bytes(4, "big") + bytes(4)
        self._transport.write(encode_frame(GOAWAY, 0, 0, payload))


@contextlib.contextmanager
def serving_http2_origin(
    tls: ssl.SSLContext | None = None, *, gap_s: float = 0.005, max_streams: int = 100
) -> Iterator[Http2Origin]:
    """Serve until the block ends.

    The body of a request names its fault, for instance ``fault-reset``; see ``_stream``.
    """
    origin = Http2Origin(gap_s, max_streams)
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(
        loop.create_server(lambda: _Connection(origin), "127.0.0.1", 0, ssl=tls)
    )
    origin.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
