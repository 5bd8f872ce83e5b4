"""Access to the internals of known servers; unknown servers are not changed."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import FrameType, SimpleNamespace
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream
from undam.asgi.server.shutdown import find_server_state
from undam.asgi.server.sockets import find_transport, limit_client_buffer


class _Transport:
    def __init__(self, sock: Any = None) -> None:
        self.sock = sock
        self.high = 0
        self.aborted = False

    def get_extra_info(self, name: str) -> Any:
        return self.sock

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def abort(self) -> None:
        self.aborted = True


class _Owner:
    """Object with a bound method that stands in for a server's receive or send callable."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)

    async def method(self, *args: Any) -> Any:
        return None


async def _bare(*args: Any) -> Any:
    return None


def test_the_transport_of_uvicorn_is_found_through_receive_or_send() -> None:
    transport: Any = _Transport()
    owner = _Owner(transport=transport)
    assert find_transport({}, owner.method, _bare) is transport
    assert find_transport({}, _bare, owner.method) is transport


def test_the_transport_of_hypercorn_is_found_through_its_protocol() -> None:
    transport: Any = _Transport()
    server = _Owner(writer=SimpleNamespace(transport=transport))
    protocol = _Owner(send=server.method)
    stream = _Owner(send=protocol.method)
    assert find_transport({}, _bare, stream.method) is transport
    assert find_transport({"http_version": "2"}, _bare, stream.method) is None


@pytest.mark.parametrize("attribute", [None, 7, object()])
def test_other_objects_are_not_transports(attribute: Any) -> None:
    owner = _Owner(transport=attribute, send=attribute)
    assert find_transport({}, owner.method, owner.method) is None


def test_the_limit_is_split_between_transport_and_kernel() -> None:
    with socket.socket() as sock:
        transport: Any = _Transport(sock)
        limit_client_buffer(transport, 20_000)
        assert transport.high == 5_000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 5_000


def test_unix_sockets_and_closed_sockets_are_unchanged() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        transport: Any = _Transport(sock)
        limit_client_buffer(transport, 20)
        assert transport.high == 5
    limit_client_buffer(_Transport(None), 10)  # type: ignore[arg-type]
    closed = socket.socket()
    closed.close()
    limit_client_buffer(_Transport(closed), 10)  # type: ignore[arg-type]


def test_a_timed_out_connection_is_aborted() -> None:
    async def main() -> None:
        transport = _Transport()

        class Server(Call):
            def __init__(self) -> None:
                super().__init__()
                self.transport = transport

        async def source() -> Any:
            while True:
                yield "a"
                await asyncio.sleep(0)

        direct = Server()
        send: Any = direct.send
        serving = asyncio.create_task(
            EventStream(source, heartbeat=None, send_timeout=0.03, buffer_bytes=8)(
                direct.scope, direct.receive, send
            )
        )
        await direct.until(lambda: direct.bodies)
        direct.writable.clear()
        await serving
        assert transport.aborted
        assert transport.high == 2

    run(main())


class _Server:
    def __init__(self) -> None:
        self.should_exit = False

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


def test_the_uvicorn_server_is_found_through_its_signal_handler() -> None:
    server = _Server()
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        probe = find_server_state(_bare)
        assert probe is not None
        assert probe[0] is server
        assert not probe[1]()
        server.should_exit = True
        assert probe[1]()
        assert signal.getsignal(signal.SIGTERM) == server.handle_exit
    finally:
        signal.signal(signal.SIGTERM, before)


def test_the_shutdown_of_hypercorn_is_found_through_its_context() -> None:
    event = asyncio.Event()
    context = SimpleNamespace(terminated=event)
    probe = find_server_state(_Owner(context=context).method)
    assert probe is not None
    assert not probe[1]()
    event.set()
    assert probe[1]()


def test_an_unknown_server_is_not_polled() -> None:
    assert find_server_state(_bare) is None
    assert find_server_state(_Owner(context=SimpleNamespace()).method) is None
