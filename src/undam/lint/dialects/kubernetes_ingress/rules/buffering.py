"""Rule KIN101: response buffering that is turned on."""

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
        "{setting} turns on response buffering in {title}: the response head is delayed until the "
        "first byte of the body, and a body without chunks arrives in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        In F5 NGINX Ingress Controller, the annotation `nginx.org/proxy-buffering` and `buffering`
        in a VirtualServer turn on nginx buffering. In Kong, `konghq.com/response-buffering` and
        `response_buffering` do the same.
    """,
    why="""
        F5 NGINX and Kong use HTTP/1.1 to the service, so a chunked stream is not held. However, the
        response head is delayed until the first byte of the body, and a body delimited by
        connection close is held.
    """,
    detection="""
        Response buffering is set to true for a streaming route. Response buffering is also on by
        default in F5 NGINX and Kong. The default is not reported, because chunked streams are not
        held.
    """,
    measured="""
        nginx 1.22.1 with buffering, over HTTP/1.1: events in a chunked body arrived 0.1 ms late.
        Without chunked encoding, events arrived 1651 ms late. The ingress controllers themselves
        were not measured.
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
    """Find settings that turn on response buffering for a route."""
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
