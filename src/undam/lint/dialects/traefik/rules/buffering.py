"""Rule TRF101: the buffering middleware."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.traefik.parser import entry_at, existing
from undam.lint.dialects.traefik.routes import Middleware
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry
from undam.textfiles.tree_edit import remove_item

BUFFERING = ConfigRule(
    code="TRF101",
    slug="buffering-middleware",
    severity=Severity.ERROR,
    message="the middleware {name} reads the whole response before it sends the first byte",
    safety=Safety.UNSAFE,
    what="""
        The `buffering` middleware reads the whole request and the whole response into memory or to
        disk.
    """,
    why="""
        Nothing reaches the client before the model has finished, not even the response head.
    """,
    detection="""
        A streaming router uses a `buffering` middleware directly, in a chain, or through its entry
        point in the same file.
    """,
    measured="""
        Traefik 3.7.15, 300 events 5 ms apart: all of them arrived together at the end; without the
        middleware, each event arrived immediately.
    """,
    fix="""
        Remove the `buffering` middleware from the streaming router. Without the middleware, its
        limit on the request size no longer applies to this router.

            routers:
              chat:
                middlewares: [auth]        without the one that buffers
    """,
    source="measured on loopback with Traefik 3.7.15; doc.traefik.io, Buffering",
)

RULES = (BUFFERING,)


def find(
    middleware: Middleware, source: Source, rule: ConfigRule = BUFFERING
) -> Iterator[Diagnostic]:
    """Report a middleware if it buffers the response.

    Args:
        rule: the rule to report; resources of Kubernetes have rules of their own.
    """
    entry = entry_at(middleware.node, "buffering")
    if entry is None or response_buffer_switch(middleware) is not None:
        return
    edit = remove_item(source, *middleware.listed) if middleware.listed else None
    span = entry.key.start, entry.key.end
    yield diagnostic_at(rule, source, span, *existing(edit), name=middleware.name)


def response_buffer_switch(middleware: Middleware) -> Entry | None:
    """Return the `disableResponseBuffer: true` entry of a buffering middleware."""
    entry = entry_at(middleware.node, "buffering")
    switch = entry_at(entry.value, "disableresponsebuffer") if entry else None
    return switch if switch is not None and switch.value.text.lower() == "true" else None
