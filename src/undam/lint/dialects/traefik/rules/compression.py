"""Rule TRF102: compression of event streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.traefik.parser import entry_at, existing
from undam.lint.dialects.traefik.routes import Middleware
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, items_of
from undam.textfiles.tree_edit import insert_entry, insert_item, remove_item

COMPRESS = ConfigRule(
    code="TRF102",
    slug="event-stream-compressed",
    severity=Severity.INFO,
    message=(
        "the middleware {name} compresses event streams; it flushes each event, so nothing is held"
    ),
    safety=Safety.SAFE,
    what="By default `compress` compresses every content type except gRPC.",
    why="""
        Compression has little effect, because each event is flushed. Small events compress poorly,
        and the next hop cannot read compressed events. Older Traefik versions could hold the first
        1024 bytes.
    """,
    detection="""
        A streaming router uses a `compress` middleware whose `excludedContentTypes` does not list
        text/event-stream, or whose `includedContentTypes` lists it.
    """,
    measured="""
        Traefik 3.7.15 with gzip and brotli, 300 events 5 ms apart: each event arrived immediately.
        The middleware delayed the response head until the first event, even if event streams were
        excluded. Without the middleware, the head arrived immediately.
    """,
    fix="""
        Exclude event streams from compression.

            compress:
              excludedContentTypes:
                - text/event-stream
    """,
    source="measured on loopback with Traefik 3.7.15; doc.traefik.io, Compress",
)

RULES = (COMPRESS,)

_EVENT_STREAM = "text/event-stream"


def find(
    middleware: Middleware, source: Source, rule: ConfigRule = COMPRESS
) -> Iterator[Diagnostic]:
    """Report a middleware if it compresses event streams.

    Args:
        rule: the rule to report; resources of Kubernetes have rules of their own.
    """
    entry = entry_at(middleware.node, "compress")
    if entry is None or entry.value.text.lower() == "false":
        return
    included = entry_at(entry.value, "includedcontenttypes")
    excluded = entry_at(entry.value, "excludedcontenttypes")
    edit: Edit | None = None
    if included is not None:
        streams = [item for item in items_of(included.value) if _is_event_stream(item)]
        if not streams:
            return
        # The last item is not removed, because an empty list would mean that all types are
        # compressed.
        if len(included.value.items) > 1:
            edit = remove_item(source, included, streams[0])
    elif excluded is None:
        edit = insert_entry(source, entry.value, "excludedContentTypes", (_EVENT_STREAM,))
    elif any(map(_is_event_stream, excluded.value.items)):
        return
    else:
        edit = insert_item(source, excluded.value, _EVENT_STREAM)
    span = entry.key.start, entry.key.end
    yield diagnostic_at(rule, source, span, *existing(edit), name=middleware.name)


def _is_event_stream(item: Node) -> bool:
    return item.text.strip().lower().startswith(_EVENT_STREAM)
