"""NGX201-NGX204: lines that look like a fix and do nothing, or something else."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import as_remark, told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.dialects.nginx.tree import Directive
from undam.lint.settings import Settings
from undam.rules import Severity

_ACCEL = "x-accel-buffering"
_MEASURED = "measured on loopback with nginx 1.22.1"
_OFF = "proxy_buffering off;"

SET_HEADER = ConfigRule(
    code="NGX201",
    slug="x-accel-buffering-sent-upstream",
    severity=Severity.ERROR,
    message=(
        "proxy_set_header X-Accel-Buffering sends the header to the origin, where it does nothing: "
        "this nginx still buffers"
    ),
    safety=Safety.SAFE,
    what="""
        X-Accel-Buffering is a response header: nginx obeys it when the origin sends it.
        proxy_set_header puts it into the request.
    """,
    why="The line looks like the fix, and the stream still comes in blocks of 4 KB.",
    detection="""
        proxy_set_header X-Accel-Buffering is in force on a route that streams. It is an error where
        the route is held, and a remark where `proxy_buffering off` stands beside it.
    """,
    measured="""
        nginx 1.22.1 with this line: the first event 1651 ms late, 60 events at a time; with the
        line below in its place 0.1 ms.
    """,
    fix="""
        Safe, in the place of the line:
            proxy_buffering off;
        The line stays where its going would bring the request headers of an outer level back into
        force.
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_set_header",
)
ADD_HEADER = ConfigRule(
    code="NGX202",
    slug="x-accel-buffering-added-for-the-client",
    severity=Severity.ERROR,
    message="add_header X-Accel-Buffering tells the client, not this nginx, which still buffers",
    safety=Safety.SAFE,
    what="""
        Add_header writes into the response that leaves nginx. Its own buffer has been decided on by
        then, and only a header that comes from the origin counts.
    """,
    why="The line looks like the fix, and the stream still comes in blocks of 4 KB.",
    detection="Add_header X-Accel-Buffering is in force on a route that streams and is held.",
    measured="""
        nginx 1.22.1 with this line: the first event 1652 ms late, 60 events at a time; with the fix
        0.1 ms.
    """,
    fix="""
        Safe, beside the line, which does help another nginx further out and so may stay:
            proxy_buffering off;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_headers_module",
)
CHUNKS_OFF = ConfigRule(
    code="NGX203",
    slug="chunked-transfer-encoding-off",
    severity=Severity.WARNING,
    message=(
        "chunked_transfer_encoding off only takes the chunks away: "
        "the body ends with the connection, and a cut looks like an end"
    ),
    safety=Safety.SAFE,
    what="This line changes how the body is framed for HTTP/1.1 clients, not when it is sent.",
    why="""
        It stands in many recipes as part of the fix, and does nothing for the hold. Without chunks
        a client cannot tell a cut from an end, each answer costs a connection, and an nginx further
        out goes back to blocks of 4 KB.
    """,
    detection="`chunked_transfer_encoding off` is in force on a route that streams.",
    measured="""
        nginx 1.22.1 with its other defaults and this line: the first event 1651 ms late, as without
        it. An nginx with HTTP/1.1 before such a hop: 1651 ms, and 0.1 ms before one with chunks.
    """,
    fix="""
        Safe: take the line away; where it comes from an outer level:
            chunked_transfer_encoding on;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_core_module; RFC 9112, 8",
)
REQUEST_BUFFERING = ConfigRule(
    code="NGX204",
    slug="request-buffering-is-not-it",
    severity=Severity.ERROR,
    message="proxy_request_buffering is about uploads: responses of this route are still buffered",
    safety=Safety.SAFE,
    what="""
        proxy_request_buffering off passes the request's body on while it comes in. The response has
        a directive of its own.
    """,
    why="The line looks like the fix, and the stream still comes in blocks of 4 KB.",
    detection="""
        proxy_request_buffering is off at a location that streams, and proxy_buffering is not.
    """,
    measured="""
        nginx 1.22.1 with this line: blocks of 4096 bytes, as without it; with the fix each event
        comes at once.
    """,
    fix="""
        Safe, beside the line, which may stay:
            proxy_buffering off;
    """,
    source=f"{_MEASURED}; nginx.org, ngx_http_proxy_module, proxy_request_buffering",
)

RULES = (SET_HEADER, ADD_HEADER, CHUNKS_OFF, REQUEST_BUFFERING)


def find_supposed_fix(route: Route) -> Diagnostic | None:
    """On a route that is held: the line that was to mend it."""
    for name, rule in (("proxy_set_header", SET_HEADER), ("add_header", ADD_HEADER)):
        for one in _of_accel(route, name):
            if rule is SET_HEADER and _can_go(route, one):
                return told(rule, (one, one.replace(_OFF)))
            return told(rule, route.put_beside(one, _OFF))
    for one in route.scope.own("proxy_request_buffering"):
        if one.value.lower() == "off":
            return told(REQUEST_BUFFERING, route.put_beside(one, _OFF))
    return None


def find(route: Route, _settings: Settings) -> Iterator[Diagnostic]:
    """What does no harm to the timing of this route, and no good either."""
    scope = route.scope
    if not scope.is_on("chunked_transfer_encoding", default=True):
        for one in scope.own("chunked_transfer_encoding"):
            yield told(CHUNKS_OFF, (one, one.remove()))
            break
        else:
            yield told(CHUNKS_OFF, route.put("chunked_transfer_encoding on;"))
    if not scope.is_on("proxy_buffering", default=True):
        for one in _of_accel(route, "proxy_set_header"):
            if one in scope.own(one.name):
                edit = one.remove() if scope.can_lose(one) else None
                yield as_remark(told(SET_HEADER, (one, edit)))


def _of_accel(route: Route, name: str) -> list[Directive]:
    return [one for one in route.scope.in_force(name) if one.value.lower() == _ACCEL]


def _can_go(route: Route, one: Directive) -> bool:
    """Whether the line can give its place to another: it is this location's, in its file."""
    own = one in route.scope.own(one.name) and one.source is route.opener.source
    return own and route.scope.can_lose(one)
