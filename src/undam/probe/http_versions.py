"""Comparison of HTTP/1.1 and HTTP/2 at the edge, if the server selects HTTP/2 by ALPN."""

from __future__ import annotations

from dataclasses import replace

from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.errors import UndamError
from undam.probe.fetch import fetch_stream
from undam.rules import Finding, Verdict, finding
from undam.wire import ClientConfig, Request


async def ask_over_http1(
    request: Request, client: ClientConfig, hop: Hop, *, api: str
) -> Hop | None:
    """Repeat the edge request over HTTP/1.1.

    Returns:
        ``None`` if a version was chosen, if the answer in ``hop`` came over HTTP/1.1, or if the
        server does not offer HTTP/1.1.
    """
    head = hop.exchange.head
    if client.http_version != "auto" or head is None or head.http_version != "2":
        return None
    try:
        exchange = await fetch_stream(
            request, replace(client, http_version="1.1"), hop=hop.name, api=api
        )
    except UndamError:
        return None
    return analyze_hop([read_exchange(exchange)])


def find_difference(http2: Hop, http1: Hop) -> list[Finding]:
    """Return a finding if only one of the two HTTP versions buffers the stream."""
    known = {http2.shape.verdict, http1.shape.verdict}
    if Verdict.UNKNOWN in known or http2.shape.held == http1.shape.held:
        return []
    return [
        finding(
            "UD114",
            http2.name,
            verdict_2=http2.shape.verdict.value,
            verdict_1=http1.shape.verdict.value,
        )
    ]
