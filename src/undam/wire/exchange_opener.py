"""Opening of an exchange: DNS lookup, connection, proxy tunnel, TLS, request and response head.

Each kind of failure has its own message. No message contains credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from undam.errors import (
    NetworkError,
    Phase,
    RedirectError,
    RemoteProtocolError,
    UsageError,
)
from undam.record import Stamps
from undam.timing import Arrival
from undam.wire.channel import Channel
from undam.wire.config import ClientConfig, Request
from undam.wire.connect import Address, describe, find_addresses, is_literal, open_connection
from undam.wire.proxy import ForwardProxy, choose_proxy, socks_handshake
from undam.wire.request import encode_connect, encode_request, http2_fields
from undam.wire.response import ResponseParser
from undam.wire.response_reader import ResponseReader
from undam.wire.stream import Deadline, ExchangeInfo, Stream, clock_offset_ns
from undam.wire.tls import TlsEngine, make_context
from undam.wire.url import Target, is_link_local, is_loopback, is_public

if TYPE_CHECKING:
    from undam.wire.http2.parser import Http2Parser

_PROXY_AUTHENTICATION_REQUIRED = 407

# A TLS server answers the first message at once. If it is silent for this time, it may expect plain
# HTTP.
_SILENT_HANDSHAKE_S = 1.0
_PLAIN_ANSWER_S = 2.0


Redirected = Literal["no", "from-internal", "from-public"]
"""Location of another origin whose redirect chose the target; "no" without such a redirect."""


class ExchangeOpener:
    """Opens an exchange, up to its response head.

    All work that can be done before the clock starts is done in the constructor.

    Args:
        redirected: whether the server of another origin chose the target. A connection to an
            internal address is then refused.

    Raises:
        UsageError: the proxy or a certificate file cannot be used.
        LocalProtocolError: the request cannot be written as HTTP.
    """

    def __init__(
        self,
        request: Request,
        target: Target,
        config: ClientConfig,
        deadline: Deadline,
        redirected: Redirected = "no",
    ) -> None:
        self.is_public = False
        self._redirected = redirected
        self._target = target
        self._config = config
        self._deadline = deadline
        self._proxy = choose_proxy(target, config)
        self._context = make_context(config) if target.scheme == "https" else None
        http_proxy = None if self._proxy is None or self._proxy.is_socks else self._proxy
        absolute = http_proxy is not None and self._context is None
        userinfo = http_proxy.userinfo if http_proxy is not None else None
        self._data = encode_request(request, target, absolute=absolute, proxy_userinfo=userinfo)
        self._http2 = self._make_http2(request)
        parser = ResponseParser(method=request.method, max_head_bytes=config.max_head_bytes)
        self._reader = self._make_reader(parser)
        self._phase: Phase = "dns"
        self._stamps = Stamps(start_ns=0)

    def _make_reader(self, parser: ResponseParser | Http2Parser) -> ResponseReader:
        config = self._config
        return ResponseReader(
            parser, max_body_bytes=config.max_body_bytes, max_reads=config.max_reads
        )

    def _make_http2(self, request: Request) -> Http2Parser | None:
        """Return the HTTP/2 parser, if HTTP/2 may be used."""
        version, tls = self._config.http_version, self._context is not None
        if version == "1.1" or (version == "auto" and not tls):
            return None
        if not tls and self._proxy is not None and not self._proxy.is_socks:
            raise UsageError("--http2 with an http:// URL cannot be used with a proxy")
        # The HTTP/2 parser imports hpack, which is not needed for HTTP/1.1.
        from undam.wire.http2.parser import Http2Parser  # noqa: PLC0415

        fields = http2_fields(request, self._target)
        return Http2Parser(fields, request.body, max_head_bytes=self._config.max_head_bytes)

    def _use_http2(self, channel: Channel) -> None:
        """Use HTTP/2 if the server has selected it."""
        protocol = channel.protocol
        if self._http2 is None or (self._context is not None and protocol != "h2"):
            if self._config.http_version == "2":
                host = self._target.authority
                raise NetworkError(f"{host} does not offer HTTP/2; try --http1", phase="tls")
            return
        self._reader = self._make_reader(self._http2)
        self._data = self._http2.to_send()

    async def open(self, redirects: tuple[str, ...], channel: Channel | None = None) -> Stream:
        """Send the request; return once the response head is complete.

        Args:
            channel: connection to use instead of a new one.

        No socket is left open if the call is cancelled.

        Raises:
            NetworkError, RemoteProtocolError: the exchange failed. The message is one line with the
                cause and a remedy.
        """
        offset_ns = clock_offset_ns()
        self._stamps = Stamps(start_ns=time.time_ns())
        with contextlib.ExitStack() as undo:
            try:
                async with asyncio.timeout_at(self._deadline.at):
                    if channel is None:
                        channel = await self._open_channel(undo)
                    else:
                        undo.callback(channel.close)
                    self._use_http2(channel)
                    first = await self._send_request(channel)
            except TimeoutError:
                raise self._timed_out(self._config.timeout_s, "--timeout") from None
            self._check_proxy_authentication()
            assert self._reader.head_ns is not None
            # A fast response may have a timestamp that is earlier than the end of the send call.
            sent_ns = self._stamps.sent_ns and min(self._stamps.sent_ns, self._reader.head_ns)
            info = ExchangeInfo(
                url=self._target.text,
                redirects=redirects,
                proxy=self._proxy.name if self._proxy is not None else None,
                stamps=replace(self._stamps, sent_ns=sent_ns, head_ns=self._reader.head_ns),
                deadline=self._deadline,
                offset_ns=offset_ns,
            )
            stream = Stream(channel, self._reader, info, first=first)
            undo.pop_all()
            return stream

    async def _open_channel(self, undo: contextlib.ExitStack) -> Channel:
        """Open a channel to the target, through the proxy and with TLS if required."""
        limit = self._config.connect_timeout_s
        try:
            async with asyncio.timeout(limit):
                channel = await self._connect()
                undo.callback(channel.close)
                if self._proxy is not None and self._proxy.is_socks:
                    await self._socks_tunnel(channel, self._proxy)
                elif self._proxy is not None and self._context is not None:
                    await self._tunnel(channel, self._proxy)
                if self._context is not None:
                    await self._handshake(channel, TlsEngine(self._context, self._target.name))
                return channel
        except TimeoutError:
            raise self._timed_out(limit, None) from None

    async def _connect(self) -> Channel:
        peer: Target | ForwardProxy = self._proxy or self._target
        try:
            addresses, dns_ns = await find_addresses(peer.host, peer.port, self._config.resolve)
            self._stamps = replace(self._stamps, dns_ns=dns_ns)
            self._check_addresses(peer, addresses)
            self._phase = "connect"
            sock = await open_connection(addresses)
        except NetworkError as error:
            if self._proxy is None:
                raise
            raise NetworkError(f"proxy {self._proxy.name}: {error}", phase="proxy") from None
        self._stamps = replace(self._stamps, connect_ns=time.time_ns())
        return Channel(sock)

    def _check_addresses(self, peer: Target | ForwardProxy, addresses: list[Address]) -> None:
        """Refuse to follow a redirect to an internal address.

        A proxy looks up names itself. With a proxy, only a literal address can be checked.
        """
        hosts = [str(address.sockaddr[0]) for address in addresses]
        if peer is self._proxy:
            hosts = [self._target.host] if is_literal(self._target.host) else []
            if is_loopback(self._target.host):
                hosts = ["127.0.0.1"]
        self.is_public = not hosts or any(is_public(host) for host in hosts)
        if self._redirected == "no":
            return
        for host in hosts:
            if is_link_local(host) or (self._redirected == "from-public" and not is_public(host)):
                raise RedirectError(
                    f"a redirect leads to {self._target.text}, which has the internal address "
                    f"{host}; it is followed only with --location-internal",
                    location=self._target.text,
                )

    async def _tunnel(self, channel: Channel, proxy: ForwardProxy) -> None:
        self._phase = "proxy"
        parser = ResponseParser(method="CONNECT", max_head_bytes=self._config.max_head_bytes)
        try:
            await channel.send(encode_connect(self._target, proxy.userinfo))
            while parser.head is None:
                read = await channel.read()
                if not read.data:
                    raise ConnectionResetError
                parser.receive_data(read.data)
        except RemoteProtocolError as error:
            raise NetworkError(f"proxy {proxy.name}: {error}", phase="proxy") from None
        except OSError:
            raise NetworkError(
                f"proxy {proxy.name} closed the connection instead of opening a tunnel to "
                f"{self._target.authority}",
                phase="proxy",
            ) from None
        if parser.head.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise _unauthorized(proxy)
        if parser.head.status // 100 != 2:
            raise NetworkError(
                f"proxy {proxy.name} refused a tunnel to {self._target.authority}: "
                f"it returned {parser.head.status}",
                phase="proxy",
            )
        self._stamps = replace(self._stamps, proxy_ns=time.time_ns())

    async def _socks_tunnel(self, channel: Channel, proxy: ForwardProxy) -> None:
        host = self._target.name
        if proxy.scheme == "socks5":
            addresses, _ = await find_addresses(host, self._target.port, self._config.resolve)
            host = str(addresses[0].sockaddr[0])
        self._phase = "proxy"
        handshake = socks_handshake(proxy, host, self._target.port)
        received = b""
        try:
            data, wanted = next(handshake)
            while True:
                await channel.send(data)
                while len(received) < wanted:
                    read = await channel.read()
                    if not read.data:
                        raise ConnectionResetError
                    received += read.data
                piece, received = received[:wanted], received[wanted:]
                data, wanted = handshake.send(piece)
        except StopIteration:
            self._stamps = replace(self._stamps, proxy_ns=time.time_ns())
        except OSError:
            raise NetworkError(
                f"proxy {proxy.name} closed the connection instead of opening a tunnel to "
                f"{self._target.authority}",
                phase="proxy",
            ) from None

    async def _handshake(self, channel: Channel, tls_engine: TlsEngine) -> None:
        self._phase = "tls"
        host = self._target.authority
        try:
            await self._start_tls(channel, tls_engine)
        except EOFError:
            what = f"{host} closed the connection during the TLS handshake"
        except OSError as error:
            what = f"{host} aborted the TLS handshake: {describe(error)}"
        else:
            self._stamps = replace(self._stamps, tls_ns=time.time_ns())
            return
        raise NetworkError(f"{what}; if this port does not use TLS, try http://", phase="tls")

    async def _start_tls(self, channel: Channel, tls_engine: TlsEngine) -> None:
        """Perform the TLS handshake; if the server is silent, check whether it expects plain HTTP.

        A plain HTTP server waits for the rest of a request when it receives the handshake.
        """
        starting = asyncio.ensure_future(channel.start_tls(tls_engine))
        try:
            await asyncio.wait((starting,), timeout=_SILENT_HANDSHAKE_S)
            silent = not starting.done() and not tls_engine.received
            if silent and self._proxy is None and await self._answers_plain_http():
                host = self._target.authority
                raise NetworkError(
                    f"{host} does not use TLS on this port but answers plain HTTP; try http://",
                    phase="tls",
                )
            await starting
        finally:
            starting.cancel()

    async def _answers_plain_http(self) -> bool:
        """Return whether the server answers a plain HTTP request on a separate connection."""
        request = (
            f"OPTIONS * HTTP/1.1\r\nHost: {self._target.authority}\r\nConnection: close\r\n\r\n"
        )
        with contextlib.suppress(NetworkError, OSError, TimeoutError):
            async with asyncio.timeout(_PLAIN_ANSWER_S):
                target = self._target
                addresses, _ = await find_addresses(target.host, target.port, self._config.resolve)
                channel = Channel(await open_connection(addresses))
                with contextlib.closing(channel):
                    await channel.send(request.encode("ascii"))
                    return (await channel.read()).data.startswith(b"HTTP/")
        return False

    async def _send_request(self, channel: Channel) -> Arrival | None:
        """Send the request, and wait for the response head.

        Returns:
            The arrival of the body bytes in the same read as the end of the head, if any.
        """
        self._phase = "send"
        try:
            await channel.send(self._data)
            self._stamps = replace(self._stamps, sent_ns=time.time_ns())
            self._reader.sent(time.time_ns())
            self._phase = "headers"
        except OSError:
            # A server may respond, for instance with a rejection, before it has read the whole
            # request. That response is still read.
            pass
        first = None
        while self._reader.head is None:
            try:
                read = await channel.read()
            except OSError as error:
                raise self._closed_early(describe(error)) from None
            if not read.data:
                raise self._closed_early(None)
            first = self._reader.receive(read)
            if data := self._reader.to_send():
                with contextlib.suppress(OSError):
                    await channel.send(data)
                self._reader.sent(time.time_ns())
        return first

    def _closed_early(self, fault: str | None) -> NetworkError:
        host, received = self._target.authority, self._reader.received_bytes
        after = f": {fault}" if fault else ""
        if received:
            where = f"within the response head, after {received} bytes"
            text = f"{host} closed the connection {where}{after}"
        elif self._phase == "send":
            text = f"{host} closed the connection while the request was being sent{after}"
        elif self._context is None:
            text = (
                f"{host} closed the connection without sending a byte{after}; "
                "if this port uses TLS, try https://"
            )
        else:
            text = f"{host} closed the connection without sending a byte{after}"
        return NetworkError(text, phase=self._phase)

    def _check_proxy_authentication(self) -> None:
        head = self._reader.head
        assert head is not None
        if self._proxy is not None and head.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise _unauthorized(self._proxy)

    def _timed_out(self, limit_s: float, option: str | None) -> NetworkError:
        host, received = self._target.authority, self._reader.received_bytes
        proxy = self._proxy.name if self._proxy is not None else ""
        peer = f"proxy {proxy}" if proxy else host
        what = {
            "dns": f"the DNS lookup of {peer} did not finish",
            "connect": f"no connection to {peer}",
            "proxy": f"no tunnel through proxy {proxy} to {host}",
            "tls": f"{host} did not finish the TLS handshake",
            "send": f"{host} did not accept the whole request",
            "headers": f"{host} sent no response head",
        }[self._phase]
        partial = f" ({received} bytes of it arrived)" if received else ""
        how = f" ({option})" if option else ""
        return NetworkError(f"{what} within {limit_s:g} s{how}{partial}", phase=self._phase)


def _unauthorized(proxy: ForwardProxy) -> NetworkError:
    reason = "rejected the user name and password" if proxy.userinfo else "requires a user name"
    return NetworkError(
        f"proxy {proxy.name} {reason} (407); use http://USER:PASSWORD@HOST:PORT", phase="proxy"
    )
