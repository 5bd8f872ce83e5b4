"""Rules NGX201-NGX204: lines that look like a fix but have no effect or a different one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.parser import NginxDirective
from undam.lint.dialects.nginx.routes import NginxRoute, Placement
from undam.rules import Severity

SET_HEADER = ConfigRule(
    code="NGX201",
    slug="x-accel-buffering-sent-upstream",
    severity=Severity.ERROR,
    message=(
        "proxy_set_header X-Accel-Buffering sends the header to the origin, where it has no "
        "effect: this nginx still buffers"
    ),
    safety=Safety.SAFE,
    what="""
        `X-Accel-Buffering` is a response header that nginx obeys if the origin sends it.
        `proxy_set_header` adds a header to the request.
    """,
    why="""
        The directive looks like the fix for buffering, but the stream still arrives in blocks of 4
        KB.
    """,
    detection="""
        `proxy_set_header X-Accel-Buffering` is in force on a streaming route. The severity is error
        if the stream is held, and info if `proxy_buffering off` is in force as well.
    """,
    measured="""
        nginx 1.22.1 with `proxy_set_header X-Accel-Buffering`: the first event arrived 1651 ms
        late, and events arrived 60 at a time. With `proxy_buffering off`, the first event was 0.1
        ms late.
    """,
    fix="""
        Replace the `proxy_set_header` line. The automatic fix keeps the line if its removal would
        make request headers from an outer level effective.

            proxy_buffering off;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, proxy_set_header"
    ),
)
ADD_HEADER = ConfigRule(
    code="NGX202",
    slug="x-accel-buffering-added-for-the-client",
    severity=Severity.ERROR,
    message=(
        "add_header X-Accel-Buffering sends the header to the client; this nginx ignores it and "
        "still buffers"
    ),
    safety=Safety.SAFE,
    what="""
        `add_header` adds a header to the response that leaves nginx. nginx decides whether to
        buffer before it adds the header, so only a header from the origin can turn buffering off.
    """,
    why="""
        The directive looks like the fix for buffering, but the stream still arrives in blocks of 4
        KB.
    """,
    detection="""
        `add_header X-Accel-Buffering` is in force on a streaming route, and nginx holds the stream.
    """,
    measured="""
        nginx 1.22.1 with `add_header X-Accel-Buffering`: the first event arrived 1652 ms late, and
        events arrived 60 at a time. With `proxy_buffering off`, the first event was 0.1 ms late.
    """,
    fix="""
        Turn buffering off in the location that streams. The `add_header` line may stay, because it
        helps another nginx closer to the client.

            proxy_buffering off;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_headers_module",
)
CHUNKS_OFF = ConfigRule(
    code="NGX203",
    slug="chunked-transfer-encoding-off",
    severity=Severity.WARNING,
    message=(
        "chunked_transfer_encoding off removes only the chunk framing, so a stream that is cut "
        "looks complete"
    ),
    safety=Safety.SAFE,
    what="""
        `chunked_transfer_encoding off` changes only the framing of the body for HTTP/1.1 clients.
        The directive does not affect the timing of writes.
    """,
    why="""
        Many recipes contain `chunked_transfer_encoding off` as part of the fix, but the directive
        does not release a held stream. Without chunks, a client cannot distinguish a cut stream
        from a complete one. Each answer also needs a new connection. An nginx closer to the client
        holds a body without chunks in blocks of 4 KB.
    """,
    detection="`chunked_transfer_encoding off` is in force on a streaming route.",
    measured="""
        nginx 1.22.1 with defaults otherwise: the first event arrived 1651 ms late both with and
        without `chunked_transfer_encoding off`. A second nginx closer to the client, which uses
        HTTP/1.1, held the first event for 1651 ms without chunks and for 0.1 ms with chunks.
    """,
    fix="""
        Remove `chunked_transfer_encoding off`. If the directive is set at an outer level, override
        it in the location:

            chunked_transfer_encoding on;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_core_module; "
        "RFC 9112, section 8"
    ),
)
REQUEST_BUFFERING = ConfigRule(
    code="NGX204",
    slug="request-buffering-is-not-it",
    severity=Severity.ERROR,
    message=(
        "proxy_request_buffering affects only uploads: responses of this route are still buffered"
    ),
    safety=Safety.SAFE,
    what="""
        `proxy_request_buffering off` forwards the request body as it arrives. A separate directive,
        `proxy_buffering`, controls responses.
    """,
    why="""
        The directive looks like the fix for buffering, but the stream still arrives in blocks of 4
        KB.
    """,
    detection="""
        `proxy_request_buffering` is off in a streaming location, but `proxy_buffering` is on.
    """,
    measured="""
        nginx 1.22.1: the stream arrived in blocks of 4096 bytes both with and without
        `proxy_request_buffering off`. With `proxy_buffering off`, each event arrived immediately.
    """,
    fix="""
        Turn buffering off in the location that streams. The `proxy_request_buffering` line may
        stay.

            proxy_buffering off;
    """,
    source=(
        "measured on loopback with nginx 1.22.1; nginx.org, ngx_http_proxy_module, "
        "proxy_request_buffering"
    ),
)

RULES = (SET_HEADER, ADD_HEADER, CHUNKS_OFF, REQUEST_BUFFERING)

_ACCEL = "x-accel-buffering"
_OFF = "proxy_buffering off;"


def find_supposed_fix(route: NginxRoute) -> Diagnostic | None:
    """Find a line that was meant to prevent buffering on a route that is still buffered."""
    for name, rule in (("proxy_set_header", SET_HEADER), ("add_header", ADD_HEADER)):
        for one in _accel_lines(route, name):
            if rule is SET_HEADER and _can_replace(route, one):
                return Placement(one, one.replace(_OFF)).diagnostic(rule)
            return route.insert_beside(one, _OFF).diagnostic(rule)
    for one in route.scope.own("proxy_request_buffering"):
        if one.value.lower() == "off":
            return route.insert_beside(one, _OFF).diagnostic(REQUEST_BUFFERING)
    return None


def find(route: NginxRoute) -> Iterator[Diagnostic]:
    """Find lines on a route that neither cause nor prevent buffering."""
    scope = route.scope
    if not scope.is_on("chunked_transfer_encoding", default=True):
        for one in scope.own("chunked_transfer_encoding"):
            yield Placement(one, one.remove()).diagnostic(CHUNKS_OFF)
            break
        else:
            yield route.insert("chunked_transfer_encoding on;").diagnostic(CHUNKS_OFF)
    if not scope.is_on("proxy_buffering", default=True):
        for one in _accel_lines(route, "proxy_set_header"):
            if one in scope.own(one.name):
                edit = one.remove() if scope.can_remove(one) else None
                found = Placement(one, edit).diagnostic(SET_HEADER, severity=Severity.INFO)
                yield replace(found, message=_UNNEEDED_HEADER)


_UNNEEDED_HEADER = (
    "proxy_set_header X-Accel-Buffering sends the header to the origin, where it has no effect; "
    "proxy_buffering is already off"
)


def _accel_lines(route: NginxRoute, name: str) -> list[NginxDirective]:
    return [one for one in route.scope.in_force(name) if one.value.lower() == _ACCEL]


def _can_replace(route: NginxRoute, one: NginxDirective) -> bool:
    """Return whether a line can be replaced; it must be in this location and the same file."""
    own = one in route.scope.own(one.name) and one.source is route.opener.source
    return own and route.scope.can_remove(one)
