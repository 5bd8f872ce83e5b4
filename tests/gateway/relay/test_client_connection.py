"""When a client's connection takes a request up: after what came with it, and before its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from undam.gateway.config.limits import RequestLimits
from undam.gateway.interfaces import LocalResponse, RequestRecord
from undam.gateway.relay.app import Gateway
from undam.gateway.relay.client_connection import ClientConnection

_REQUEST = b"GET /-/healthz HTTP/1.1\r\nHost: h\r\n\r\n"


class _Transport:
    def __init__(self) -> None:
        self.written = b""
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing
        self.written += data

    def get_extra_info(self, name: str) -> Any:
        return self if name == "socket" else None

    family = 0

    def set_write_buffer_limits(self, high: int) -> None: ...

    def can_write_eof(self) -> bool:
        return False

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True

    def close(self) -> None:
        self.closing = True


class _Pages:
    """A router and an observer that know nothing but one page."""

    def __init__(self) -> None:
        self.endings: list[str] = []

    def page(self, _: object) -> LocalResponse:
        return LocalResponse(200, b"text/plain", b"ok\n")

    def began(self, _: RequestRecord) -> None: ...

    def ended(self, record: RequestRecord) -> None:
        assert record.end_reason is not None
        self.endings.append(record.end_reason.value)


def _play(reads: Callable[[Any, _Transport], None]) -> tuple[bytes, list[str], _Transport]:
    pages = _Pages()

    async def main() -> _Transport:
        gateway = Gateway(cast("Any", pages), cast("Any", pages), RequestLimits())
        client: Any = ClientConnection(gateway)
        transport = _Transport()
        client.connection_made(transport)
        reads(client, transport)
        await asyncio.sleep(0.01)
        gateway.timer.stop()
        return transport

    transport = asyncio.run(main())
    return transport.written, pages.endings, transport


def test_a_request_is_taken_up_when_its_turn_of_the_loop_is_over() -> None:
    def reads(client: Any, transport: _Transport) -> None:
        client.data_received(_REQUEST[:20])
        client.data_received(_REQUEST[20:])
        assert not transport.written

    written, endings, _ = _play(reads)
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert written.count(b"HTTP/1.1") == 1
    assert endings == ["local"]


def test_what_came_before_the_end_is_answered_before_the_connection_closes() -> None:
    def reads(client: Any, transport: _Transport) -> None:
        client.data_received(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n")
        client.eof_received()
        assert transport.written.startswith(b"HTTP/1.1 400 ")
        transport.close()  # As transports do when `eof_received` gives nothing.

    written, endings, _ = _play(reads)
    assert written.count(b"HTTP/1.1") == 1
    assert endings == ["bad-request"]


def test_what_is_over_when_the_gateway_closes_is_counted() -> None:
    pages = _Pages()

    async def main() -> None:
        gateway = Gateway(cast("Any", pages), cast("Any", pages), RequestLimits())
        for _ in range(9):
            client: Any = ClientConnection(gateway)
            client.connection_made(_Transport())
            client.data_received(_REQUEST)
            client.eof_received()
        assert pages.endings == []
        await gateway.close()

    asyncio.run(main())
    assert pages.endings == ["local"] * 9


def test_nothing_is_taken_up_once_the_connection_closes() -> None:
    def reads(client: Any, transport: _Transport) -> None:
        client.data_received(_REQUEST)
        transport.close()

    written, endings, _ = _play(reads)
    assert (written, endings) == (b"", [])
