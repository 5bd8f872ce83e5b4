"""Facts in a response head that support or contradict a suspect."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from undam.record import Head

Stack = Literal["python", "node", "java", "dotnet", "php", "ruby"]
"""Language of an application server or a relay."""

_PYTHON_SERVERS = (
    r"^(uvicorn|gunicorn|hypercorn|daphne|granian|waitress|tornadoserver|wsgiserver|werkzeug"
    r"|cheroot|cherrypy|twistedweb|python/|basehttp/|simplehttp/)"
)
_STACK_SIGNS: tuple[tuple[Stack, str, str], ...] = (
    ("python", "server", _PYTHON_SERVERS),
    ("node", "x-powered-by", r"^(express|next\.js|nuxt|koa|fastify|nestjs|sails)"),
    # Node.js sends its keep-alive timeout in this header: 5 s by default, 72 s with Fastify.
    ("node", "keep-alive", r"^timeout=(5|72)$"),
    ("java", "server", r"^(jetty|undertow|apache-coyote|tomcat|netty)"),
    ("dotnet", "server", r"^kestrel"),
    ("dotnet", "x-powered-by", r"^asp\.net"),
    ("php", "x-powered-by", r"^php"),
    ("ruby", "server", r"^(puma|thin|webrick|unicorn)"),
    ("ruby", "x-powered-by", r"^phusion"),
    # Rack::Runtime, which Rails uses by default, sends seconds with six decimals.
    ("ruby", "x-runtime", r"^[0-9]{1,6}\.[0-9]{6}$"),
)

# SecurityMiddleware and XFrameOptionsMiddleware send these headers in a new Django project.
_DJANGO = (("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin"))

_SHOWN_CHARS = 60


@dataclass(frozen=True, slots=True)
class HeadFacts:
    """Facts in a response head.

    Args:
        server: value of the Server header, or an empty text.
        coding: content coding, or an empty text.
        has_case: whether the header names keep their case, which HTTP/2 does not allow.
        has_http_proxy: whether the head is that of http-proxy, the relay library of Node.js.
        stacks: languages of the servers and relays that left a sign, with the header that shows it.
    """

    server: str = ""
    coding: str = ""
    has_length: bool = False
    is_close_delimited: bool = False
    is_event_stream: bool = False
    is_mixed_case: bool = False
    has_case: bool = False
    has_origin_headers: bool = False
    looks_like_django: bool = False
    has_http_proxy: bool = False
    keep_alive: str = ""
    stacks: dict[Stack, str] = field(default_factory=dict)

    @property
    def shown_server(self) -> str:
        """The Server header as shown in messages, or ``no Server header``."""
        return f"Server: {self.server[:_SHOWN_CHARS]}" if self.server else "no Server header"


def facts_of(head: Head | None) -> HeadFacts:
    """Return the facts in a head; empty if no head was received."""
    if head is None:
        return HeadFacts()
    coding = (head.get("content-encoding") or "").strip().lower()
    chunked = "chunked" in (head.get("transfer-encoding") or "").lower()
    length = head.get("content-length") is not None
    stacks: dict[Stack, str] = {}
    for stack, header, pattern in _STACK_SIGNS:
        value = (head.get(header) or "").strip()
        if re.search(pattern, value, re.IGNORECASE):
            name = "-".join(part.capitalize() for part in header.split("-"))
            stacks.setdefault(stack, f"{name}: {value[:_SHOWN_CHARS]}")
    # http-proxy sends this header in lower case; other servers omit or capitalize it.
    has_http_proxy = ("connection", "keep-alive") in head.headers
    if has_http_proxy:
        stacks.setdefault("node", "connection: keep-alive")
    return HeadFacts(
        server=(head.get("server") or "").strip(),
        coding="" if coding == "identity" else coding,
        has_length=length,
        is_close_delimited=not length and not chunked and head.http_version in {"1.0", "1.1"},
        is_event_stream=(head.get("content-type") or "").lower().startswith("text/event-stream"),
        is_mixed_case=any(name != name.lower() for name, _ in head.headers),
        has_case=head.http_version in {"1.0", "1.1"},
        has_origin_headers=head.get("server") is not None or head.get("date") is not None,
        looks_like_django=all((head.get(name) or "") == value for name, value in _DJANGO),
        has_http_proxy=has_http_proxy,
        keep_alive=(head.get("keep-alive") or "").strip(),
        stacks=stacks,
    )


_HEADER_LINE = re.compile(
    r"""(?ix)(?:^|["'(\s])
    (content-type|cache-control|x-accel-buffering|incremental|x-no-compression)
    ["']?\s{0,3}[:,]\s{0,3}["']?
    ([^"';\n]{1,80})"""
)


def carries(head: Head | None, fix: str) -> bool:
    """Return whether ``fix`` consists only of response headers that ``head`` already has."""
    found = _HEADER_LINE.findall(fix)
    if head is None or not found:
        return False
    return all(_has_tokens(head, name, value) for name, value in found)


def _has_tokens(head: Head, name: str, value: str) -> bool:
    parts = (part.partition(";")[0] for line in head.all(name) for part in line.split(","))
    present = {part.strip().lower() for part in parts}
    return {part.strip().lower() for part in value.split(",")} <= present
