"""Client connection: how requests start, and what happens when the connection closes."""

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
        self.reading = True

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


class _LocalResponses:
    """Router and observer that answer every request locally."""

    def __init__(self) -> None:
        self.end_reasons: list[str] = []

    def local_response(self, _: object) -> LocalResponse:
        return LocalResponse(200, b"text/plain", b"ok\n")

    def request_started(self, _: RequestRecord) -> None: ...

    def request_ended(self, record: RequestRecord) -> None:
        assert record.end_reason is not None
        self.end_reasons.append(record.end_reason.value)


def _run(scenario: Callable[[Any, _Transport], None]) -> tuple[bytes, list[str], _Transport]:
    """Run ``scenario`` with a client connection; return the response bytes and the end reasons."""
    responses = _LocalResponses()

    async def main() -> _Transport:
        gateway = Gateway(cast("Any", responses), cast("Any", responses), RequestLimits())
        client: Any = ClientConnection(gateway.context, gateway._clients)
        transport = _Transport()
        client.connection_made(transport)
        scenario(client, transport)
        for _ in range(10):
            await asyncio.sleep(0)
        gateway.context.deferred.flush()
        gateway.context.timer.stop()
        return transport

    transport = asyncio.run(main())
    return transport.written, responses.end_reasons, transport


def test_a_request_is_handled_in_the_next_loop_iteration() -> None:
    def scenario(client: Any, transport: _Transport) -> None:
        client.data_received(_REQUEST[:20])
        client.data_received(_REQUEST[20:])
        assert not transport.written

    written, end_reasons, _ = _run(scenario)
    assert written.startswith(b"HTTP/1.1 200 OK\r\n")
    assert written.count(b"HTTP/1.1") == 1
    assert end_reasons == ["local"]


def test_a_malformed_request_before_the_end_of_the_connection_is_answered() -> None:
    def scenario(client: Any, transport: _Transport) -> None:
        client.data_received(b"GET / HTTP/1.1\r\nHost : h\r\n\r\n")
        client.eof_received()
        assert transport.written.startswith(b"HTTP/1.1 400 ")
        transport.close()  # A transport closes the connection when `eof_received` returns None.

    written, end_reasons, _ = _run(scenario)
    assert written.count(b"HTTP/1.1") == 1
    assert end_reasons == ["bad-request"]


def test_ended_requests_are_reported_when_the_gateway_closes() -> None:
    responses = _LocalResponses()

    async def main() -> None:
        gateway = Gateway(cast("Any", responses), cast("Any", responses), RequestLimits())
        for _ in range(9):
            client: Any = ClientConnection(gateway.context, gateway._clients)
            client.connection_made(_Transport())
            client.data_received(_REQUEST)
            client.eof_received()
        assert responses.end_reasons == []
        await gateway.close()

    asyncio.run(main())
    assert responses.end_reasons == ["local"] * 9


def test_no_request_is_handled_once_the_connection_closes() -> None:
    def scenario(client: Any, transport: _Transport) -> None:
        client.data_received(_REQUEST)
        transport.close()

    written, end_reasons, _ = _run(scenario)
    assert (written, end_reasons) == (b"", [])
