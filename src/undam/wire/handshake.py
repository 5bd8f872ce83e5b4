"""One exchange up to its response head: look up, connect, tunnel, handshake, send, wait.

Every way to fail has a text of its own here, and none shows credentials.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace

from undam.errors import NetworkError, Phase, RemoteProtocolError
from undam.record import Stamps
from undam.timing import Arrival
from undam.wire.channel import Channel
from undam.wire.config import ClientConfig, Request
from undam.wire.connect import describe, find_addresses, open_connection
from undam.wire.proxy import Proxy, choose_proxy
from undam.wire.reception import Reception
from undam.wire.request import encode_connect, encode_request
from undam.wire.response import ResponseParser
from undam.wire.stream import Deadline, Stream, Way, clock_offset_ns
from undam.wire.tls import TlsPump, make_context
from undam.wire.url import Target

_PROXY_AUTHENTICATION_REQUIRED = 407


class Opening:
    """The way to one response head. Everything that can be done before the clock starts is done
    by the constructor.

    Raises:
        UsageError: the proxy or a certificate file cannot be used.
        LocalProtocolError: the request cannot be written as HTTP.
    """

    def __init__(
        self, request: Request, target: Target, config: ClientConfig, deadline: Deadline
    ) -> None:
        self._target = target
        self._config = config
        self._deadline = deadline
        self._proxy = choose_proxy(target, config)
        self._context = make_context(config) if target.scheme == "https" else None
        absolute = self._proxy is not None and self._context is None
        userinfo = self._proxy.userinfo if self._proxy is not None else None
        self._data = encode_request(request, target, absolute=absolute, proxy_userinfo=userinfo)
        self._reception = Reception(
            method=request.method,
            max_head_bytes=config.max_head_bytes,
            max_body_bytes=config.max_body_bytes,
        )
        self._phase: Phase = "dns"
        self._stamps = Stamps(start_ns=0)

    async def open(self, redirects: tuple[str, ...]) -> Stream:
        """Go the whole way. Cancelling it leaves no socket open.

        Raises:
            NetworkError, RemoteProtocolError: one line on what failed and what to do.
        """
        offset_ns = clock_offset_ns()
        self._stamps = Stamps(start_ns=time.time_ns())
        with contextlib.ExitStack() as undo:
            try:
                async with asyncio.timeout_at(self._deadline.at):
                    channel = await self._reach(undo)
                    first = await self._ask(channel)
            except TimeoutError:
                raise self._overdue(self._config.timeout_s, "--timeout") from None
            self._refuse_407()
            assert self._reception.head_ns is not None
            # A fast answer may be stamped before this program is back from sending.
            sent_ns = self._stamps.sent_ns and min(self._stamps.sent_ns, self._reception.head_ns)
            way = Way(
                url=self._target.text,
                redirects=redirects,
                proxy=self._proxy.name if self._proxy is not None else None,
                stamps=replace(self._stamps, sent_ns=sent_ns, head_ns=self._reception.head_ns),
                deadline=self._deadline,
                offset_ns=offset_ns,
            )
            stream = Stream(channel, self._reception, way, first=first)
            undo.pop_all()
            return stream

    async def _reach(self, undo: contextlib.ExitStack) -> Channel:
        """A channel to the target, through proxy and TLS where they are wanted."""
        limit = self._config.connect_timeout_s
        try:
            async with asyncio.timeout(limit):
                channel = await self._connect()
                undo.callback(channel.close)
                if self._proxy is not None and self._context is not None:
                    await self._tunnel(channel, self._proxy)
                if self._context is not None:
                    await self._shake_hands(channel, TlsPump(self._context, self._target.name))
                return channel
        except TimeoutError:
            raise self._overdue(limit, None) from None

    async def _connect(self) -> Channel:
        near: Target | Proxy = self._proxy or self._target
        try:
            addresses, dns_ns = await find_addresses(near.host, near.port, self._config.resolve)
            self._stamps = replace(self._stamps, dns_ns=dns_ns)
            self._phase = "connect"
            sock = await open_connection(addresses)
        except NetworkError as error:
            if self._proxy is None:
                raise
            raise NetworkError(f"proxy {self._proxy.name}: {error}", phase="proxy") from None
        self._stamps = replace(self._stamps, connect_ns=time.time_ns())
        return Channel(sock)

    async def _tunnel(self, channel: Channel, proxy: Proxy) -> None:
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
                f"proxy {proxy.name} closed the connection when asked for a tunnel to "
                f"{self._target.authority}",
                phase="proxy",
            ) from None
        if parser.head.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise _unauthorized(proxy)
        if parser.head.status // 100 != 2:
            raise NetworkError(
                f"proxy {proxy.name} refused a tunnel to {self._target.authority}: it answered "
                f"{parser.head.status}",
                phase="proxy",
            )
        self._stamps = replace(self._stamps, proxy_ns=time.time_ns())

    async def _shake_hands(self, channel: Channel, pump: TlsPump) -> None:
        self._phase = "tls"
        host = self._target.authority
        try:
            await channel.start_tls(pump)
        except EOFError:
            what = f"{host} closed the connection in the TLS handshake"
        except OSError as error:
            what = f"{host} broke the TLS handshake off: {describe(error)}"
        else:
            self._stamps = replace(self._stamps, tls_ns=time.time_ns())
            return
        raise NetworkError(f"{what}; if this port speaks no TLS, try http://", phase="tls")

    async def _ask(self, channel: Channel) -> Arrival | None:
        """Send the request and wait for the head; the arrival is of body bytes that came along."""
        self._phase = "send"
        try:
            await channel.send(self._data)
            self._stamps = replace(self._stamps, sent_ns=time.time_ns())
            self._phase = "headers"
        except OSError:
            # A server may refuse a request before it has read it all: its answer is what counts.
            pass
        first = None
        while self._reception.head is None:
            try:
                read = await channel.read()
            except OSError as error:
                raise self._broken_off(describe(error)) from None
            if not read.data:
                raise self._broken_off(None)
            first = self._reception.receive(read)
        return first

    def _broken_off(self, fault: str | None) -> NetworkError:
        host, seen = self._target.authority, self._reception.seen_bytes
        after = f": {fault}" if fault else ""
        if seen:
            text = f"{host} closed the connection in the response head, after {seen} bytes{after}"
        elif self._phase == "send":
            text = f"{host} closed the connection while the request was being sent{after}"
        elif self._context is None:
            text = (
                f"{host} closed the connection without sending a byte{after}; "
                "if this port speaks TLS, try https://"
            )
        else:
            text = f"{host} closed the connection without sending a byte{after}"
        return NetworkError(text, phase=self._phase)

    def _refuse_407(self) -> None:
        head = self._reception.head
        assert head is not None
        if self._proxy is not None and head.status == _PROXY_AUTHENTICATION_REQUIRED:
            raise _unauthorized(self._proxy)

    def _overdue(self, limit_s: float, option: str | None) -> NetworkError:
        host, seen = self._target.authority, self._reception.seen_bytes
        proxy = self._proxy.name if self._proxy is not None else ""
        near = f"proxy {proxy}" if proxy else host
        what = {
            "dns": f"no answer about the name of {near}",
            "connect": f"no connection to {near}",
            "proxy": f"no tunnel through proxy {proxy} to {host}",
            "tls": f"{host} did not finish the TLS handshake",
            "send": f"{host} did not take the whole request",
            "headers": f"{host} sent no response head",
        }[self._phase]
        partial = f" ({seen} bytes of one came)" if seen else ""
        how = f" ({option})" if option else ""
        return NetworkError(f"{what} within {limit_s:g} s{how}{partial}", phase=self._phase)


def _unauthorized(proxy: Proxy) -> NetworkError:
    said = "refused the user name and password" if proxy.userinfo else "asks for a user name"
    return NetworkError(
        f"proxy {proxy.name} {said} (407); give http://USER:PASSWORD@HOST:PORT", phase="proxy"
    )
