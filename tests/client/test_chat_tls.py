"""Timeouts over TLS, where closing a connection takes more steps."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest
import trustme

from support.scripted_server import DONE, STREAM, chat_chunk
from support.threaded_server import serving
from undam.client import AnswerError, Finish, IdleTimeout, Text, TtftTimeout, achat, chat

pytestmark = pytest.mark.slow  # Uses sockets, and waits for events that must not occur.


@pytest.fixture(scope="module")
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a TLS context for the server, and one for a client that trusts the server."""
    authority = trustme.CA()
    server, client = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


def _ask(library: Any, url: str, trust: ssl.SSLContext, **limits: Any) -> list[object]:
    with (
        library.Client(verify=trust) as client,
        chat(url, "hi", model="m", http_client=client, **limits) as answer,
    ):
        return list(answer)


def _aask(library: Any, url: str, trust: ssl.SSLContext, **limits: Any) -> list[object]:
    async def run() -> list[object]:
        async with (
            library.AsyncClient(verify=trust) as client,
            achat(url, "hi", model="m", http_client=client, **limits) as answer,
        ):
            return [delta async for delta in answer]

    return asyncio.run(run())


both = pytest.mark.parametrize("ask", [_ask, _aask], ids=["chat", "achat"])
libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])
Ask = Callable[..., list[object]]
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@both
@libraries
def test_an_answer_is_read_over_tls(ask: Ask, library: Any, contexts: Contexts) -> None:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(STREAM + chat_chunk("a"))
        time.sleep(0.8)
        connection.sendall(chat_chunk("b", finish="stop") + DONE)

    with serving(script, contexts[0]) as server:
        found = ask(library, server.url(scheme="https"), contexts[1], ttft_timeout=0.5)
    assert found == [Text("a"), Text("b"), Finish("stop")]


@both
@libraries
@pytest.mark.parametrize(
    ("sent", "limits", "kind"),
    [
        (STREAM, {"ttft_timeout": 0.5}, TtftTimeout),
        (STREAM + chat_chunk("a"), {"idle_timeout": 0.5}, IdleTimeout),
    ],
)
def test_time_limits_apply_over_tls(
    sent: bytes,
    limits: dict[str, float],
    kind: type[AnswerError],
    ask: Ask,
    library: Any,
    contexts: Contexts,
) -> None:
    def script(connection: socket.socket, _request: bytes) -> None:
        connection.sendall(sent)
        while connection.recv(1000):
            pass

    with serving(script, contexts[0]) as server, pytest.raises(kind):
        ask(library, server.url(scheme="https"), contexts[1], **limits)
