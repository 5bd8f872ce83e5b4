"""Small HTTP server for the monitor: metrics, probes on request, health check and pages."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from undam.http1.request_parser import BadRequest, RequestParser

_MAX_HEAD_BYTES = 16 << 10
_IDLE_S = 30.0
_MAX_CONNECTIONS = 100
_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
            500: "Internal Server Error", 503: "Service Unavailable"}  # fmt: skip
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True, slots=True)
class WebAnswer:
    """Response to a request."""

    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    status: int = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """Request to the monitor's HTTP server.

    Args:
        query: the first value of each parameter.
    """

    path: str
    query: dict[str, str]
    accept: str


Handler = Callable[[Asked], Awaitable[WebAnswer]]


class WebServer:
    """Server that answers GET requests with ``handler``. It closes slow and surplus connections."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._open = 0
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> tuple[str, int]:
        """Start listening, and return the address."""
        self._server = await asyncio.start_server(self._serve, host, port)
        address = self._server.sockets[0].getsockname()
        return address[0], address[1]

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= _MAX_CONNECTIONS:
                async with asyncio.timeout(_IDLE_S):
                    await self._answer(reader, writer)
        except (TimeoutError, OSError):
            pass  # The client is slow or has disconnected.
        finally:
            self._open -= 1
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = RequestParser(_MAX_HEAD_BYTES, 0)
        try:
            while (head := parser.head()) is None:
                data = await reader.read(4096)
                if not data:
                    return
                parser.receive_data(data)
        except BadRequest as error:
            await _write(writer, WebAnswer(f"{error}\n".encode(), status=400), body=True)
            return
        if head.method not in {"GET", "HEAD"}:
            await _write(writer, WebAnswer(b"only GET and HEAD\n", status=405), body=True)
            return
        parts = urlsplit(head.target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        accept = next((v.decode("latin-1") for n, v in head.headers if n.lower() == b"accept"), "")
        answer = await self._handler(Asked(parts.path, query, accept))
        await _write(writer, answer, body=head.method == "GET")


async def _write(writer: asyncio.StreamWriter, answer: WebAnswer, *, body: bool) -> None:
    head = (
        f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Unknown')}\r\n"
        f"Content-Type: {answer.content_type}\r\nContent-Length: {len(answer.body)}\r\n"
        f"Content-Security-Policy: {_PAGE_POLICY}\r\nX-Content-Type-Options: nosniff\r\n"
        "Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode("latin-1") + (answer.body if body else b""))
    await writer.drain()
