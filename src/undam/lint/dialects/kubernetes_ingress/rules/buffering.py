"""KIN101: response buffering that is turned on."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.kubernetes_ingress.routes import EdgeRoute
from undam.lint.kubernetes.resources import entry_span
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree_edit import replace_value

BUFFERING = ConfigRule(
    code="KIN101",
    slug="response-buffering-on",
    severity=Severity.WARNING,
    message=(
        "{setting} turns on response buffering of {title}: the head waits for the first byte, and "
        "a body without chunks arrives in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        These settings turn on the buffering of nginx: nginx.org/proxy-buffering and `buffering` of
        a VirtualServer (F5 NGINX Ingress Controller), and konghq.com/response-buffering and
        `response_buffering` (Kong).
    """,
    why="""
        F5 NGINX and Kong use HTTP/1.1 to the service, so a chunked stream passes. The response head
        still waits for the first byte of the body, and a body that ends when the connection is
        closed is held.
    """,
    detection="""
        Response buffering is set to true for a streaming route. Response buffering is also the
        default of F5 NGINX and Kong, but the default is not reported, because chunked streams pass.
    """,
    measured="""
        nginx 1.22.1 with buffering, over HTTP/1.1: events were 0.1 ms late if the origin sent a
        chunked body, and 1651 ms late if it did not. The ingress controllers themselves were not
        measured.
    """,
    fix="""
        Turn response buffering off. An automatic fix is offered if all paths of the resource serve
        streams.

            nginx.org/proxy-buffering: "False"
    """,
    source=(
        "docs.nginx.com, NGINX Ingress Controller, annotations and VirtualServer; "
        "developer.konghq.com, route entity; Kong/kong (2026-07-01), nginx_kong.lua; read in "
        "2026-11"
    ),
)

RULES = (BUFFERING,)

_OFF = {"True": "False", "true": "false", "TRUE": "FALSE"}


def find(route: EdgeRoute, source: Source) -> Iterator[Diagnostic]:
    """Find response buffering that is turned on for a route."""
    entry = route.buffering
    if entry is None or entry.value.text not in _OFF:
        return
    edit = replace_value(source, entry.value, _OFF[entry.value.text]) if route.all_stream else None
    yield diagnostic_at(
        BUFFERING,
        source,
        entry_span(source, entry),
        *((edit,) if edit else ()),
        setting=entry.key.text,
        title=route.controller.title,
    )
