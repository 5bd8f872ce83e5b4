"""Socket options, tested with real sockets on the loopback interface."""

from __future__ import annotations

import asyncio
import socket

import pytest

from undam.http1.sockets import limit_unsent, reset_on_close


def test_a_close_after_reset_on_close_resets_the_connection() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
        with client:
            reset_on_close(server)
            server.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


@pytest.mark.skipif(not hasattr(socket, "TCP_NOTSENT_LOWAT"), reason="Linux and macOS only")
def test_unsent_bytes_are_limited_in_the_transport_and_in_the_kernel() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        limit_unsent(writer.transport, 4000)
        sock = writer.get_extra_info("socket")
        assert writer.transport.get_write_buffer_limits()[1] == 1000
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 1000
        writer.transport.abort()
        server.close()

    asyncio.run(main())


def test_a_unix_socket_is_limited_in_the_transport_only() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            _, writer = await asyncio.open_connection(sock=ours)
            limit_unsent(writer.transport, 4000)
            assert writer.transport.get_write_buffer_limits()[1] == 1000
            writer.transport.abort()

    asyncio.run(main())
