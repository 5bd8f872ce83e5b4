"""Detection of the client's address behind proxies and load balancers."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from support.eventually import eventually_async
from support.gateway_in_loop import LoopUpstream, json_request, loop_gateway
from undam.errors import UsageError
from undam.gateway.config.config import make_config, upstream_from_url
from undam.gateway.http.client_address import TrustedProxies, parse_proxy_header

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


def _v2(family: int, source: str, *, command: int = 0x21, more: bytes = b"") -> bytes:
    kind = socket.AF_INET if family == 0x11 else socket.AF_INET6
    packed = socket.inet_pton(kind, source)
    body = packed + packed + b"\x04\xd2\x00\x50" + more
    return _SIGNATURE + struct.pack("!BBH", command, family, len(body)) + body


_HEADERS = {
    "v1": (b"PROXY TCP4 192.0.2.7 10.0.0.1 1234 80\r\n", "192.0.2.7"),
    "v1 with IPv6": (b"PROXY TCP6 2001:DB8::7 ::1 1234 80\r\n", "2001:db8::7"),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with addresses": (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
    "v2": (_v2(0x11, "192.0.2.7"), "192.0.2.7"),
    "v2 with IPv6 and extensions": (_v2(0x21, "2001:db8::7", more=b"\x04\0\x01x"), "2001:db8::7"),
    "v2 of a health check": (_v2(0x11, "192.0.2.7", command=0x20), None),
    "v2 without addresses": (_SIGNATURE + b"\x21\x00\x00\x00", None),
}


@pytest.mark.parametrize("name", _HEADERS)
def test_a_proxy_header_is_parsed_however_it_is_cut(name: str) -> None:
    data, address = _HEADERS[name]
    for size in range(len(data)):
        assert parse_proxy_header(data[:size]) is None
    assert parse_proxy_header(data + b"GET / HTTP/1.1\r\n") == (address, len(data))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n", b"PROXY TCP4 1.2.3 10.0.0.1 1 2\r\n", b"PROXY TCP4 x y 1 2\r\n",
        b"PROXY " + b"a" * 200, b"PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n", b"\r\n\r\nGET",
        _SIGNATURE + b"\x11\x11\x00\x0c" + b"a" * 12, _SIGNATURE + b"\x21\x11\x00\x02ab",
        _SIGNATURE + b"\x21\x11\xff\xff", _SIGNATURE + b"\x23\x11\x00\x00",
    ],
)  # fmt: skip
def test_other_data_is_not_a_proxy_header(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_proxy_header(data)


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded_for", "client"),
    [
        ((), "10.0.0.1", ["6.6.6.6"], "10.0.0.1"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6, 192.0.2.7"], "192.0.2.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["6.6.6.6", "192.0.2.7, 10.0.0.2"], "192.0.2.7"),
        (("10.0.0.0/8",), "10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        (("10.0.0.0/8",), "192.0.2.9", ["6.6.6.6"], "192.0.2.9"),
        (("10.0.0.1",), "10.0.0.1", [], "10.0.0.1"),
        (("10.0.0.1",), "10.0.0.1", ["unknown"], "10.0.0.1"),
        (("10.0.0.1",), "10.0.0.1", ["192.0.2.7:5000"], "192.0.2.7"),
        (("::1",), "::1", ["[2001:db8::7]:5000"], "2001:db8::7"),
        (("10.0.0.0/8",), "::ffff:10.0.0.1", ["192.0.2.7"], "192.0.2.7"),
        (("unix",), "", ["192.0.2.7"], "192.0.2.7"),
        (("10.0.0.0/8",), "", ["192.0.2.7"], ""),
    ],
)
def test_the_last_address_that_is_not_trusted_is_the_client(
    trusted: tuple[str, ...], peer: str, forwarded_for: list[str], client: str
) -> None:
    headers = [(b"X-Forwarded-For", value.encode()) for value in forwarded_for]
    assert TrustedProxies(trusted).client(peer, headers) == client


def test_the_gateway_logs_the_client_and_forwards_all_hops() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, trusted_proxies=("127.0.0.0/8",)) as running:
            await running.send(json_request(headers="X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n"))
            await eventually_async(lambda: bool(running.records))
            assert running.records[0].request.client == "192.0.2.7"
            forwarded = upstream.calls[0].header("X-Forwarded-For")
            assert forwarded == "6.6.6.6, 192.0.2.7, 127.0.0.1"

    asyncio.run(main())


def test_connections_begin_with_a_proxy_header_if_that_is_configured() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, proxy_protocol="on") as running:
            header = _HEADERS["v2"][0]
            assert b" 200 " in await running.send(header + json_request())
            await eventually_async(lambda: bool(running.records))
            assert running.records[0].request.client == "192.0.2.7"
            assert upstream.calls[0].header("X-Forwarded-For") == "192.0.2.7"
            assert b" 400 " in await running.send(json_request())
        upstream = await LoopUpstream().start()
        async with loop_gateway(
            upstream, proxy_protocol="on", trusted_proxies=("10.0.0.0/8",)
        ) as running:
            assert b" 400 " in await running.send(header + json_request())
            assert upstream.calls == []

    asyncio.run(main())


@pytest.mark.parametrize(
    "values",
    [
        {"trusted_proxies": ("10.0.0.0/99",)},
        {"trusted_proxies": ("nginx",)},
        {"proxy_protocol": "on", "tls_cert": "c", "tls_key": "k"},
    ],
)
def test_invalid_options_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        make_config(values, [upstream_from_url("http://a:1")])


def test_a_name_with_underscores_cannot_replace_a_header_of_the_gateway() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            spoofed = "X_Forwarded_For: 6.6.6.6\r\nx_request_id: a\r\nX-Real_IP: 7.7.7.7\r\n"
            await running.send(json_request(headers=spoofed + "My_Header: 1\r\n"))
            head = upstream.calls[0].head
            assert b"6.6.6.6" not in head
            assert b"x_request_id" not in head
            assert b"My_Header: 1\r\n" in head

    asyncio.run(main())
