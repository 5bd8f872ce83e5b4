"""Which lines of a Traefik configuration hold a stream, end it, or do nothing for it."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.traefik.catalogue import (
    BUFFERING,
    COMPRESS,
    FLUSH_INTERVAL,
    HEADER_TIMEOUT,
    NO_RESPONSE_BUFFER,
    WRITE_TIMEOUT,
)
from undam.lint.dialects.traefik.model import (
    Middleware,
    Model,
    Router,
    at,
    entry_at,
    entry_points_of,
    local_name,
    middlewares_of,
    seconds_of,
    services_of,
)
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node, items_of
from undam.textfiles.tree_edit import insert_entry, insert_item, remove_item, replace_value

_STREAM = "text/event-stream"
# A head that is a minute late is late for other reasons than the model.
_SLOW_HEAD_S = 60.0


def find_middlewares(model: Model, router: Router, source: Source) -> Iterator[Diagnostic]:
    """Middlewares that hold or compress the response of a streaming router."""
    used, _ = middlewares_of(model, router)
    for one in used:
        yield from _buffering(one, source)
        yield from _compress(one, source)


def unread_middlewares(model: Model, router: Router, source: Source) -> Iterator[UnreadPart]:
    """Middlewares of a streaming router that stand in another file or provider."""
    for item in middlewares_of(model, router)[1]:
        what = f"the middleware {item.text}, which stands elsewhere"
        yield UnreadPart(source.path, source.position(item.start)[0], what)


def _buffering(one: Middleware, source: Source) -> Iterator[Diagnostic]:
    entry = entry_at(one.node, "buffering")
    if entry is None:
        return
    switch = entry_at(entry.value, "disableresponsebuffer")
    vain = switch is not None and switch.value.text.lower() == "true"
    rule, key = (NO_RESPONSE_BUFFER, switch) if vain and switch else (BUFFERING, entry)
    edit = remove_item(source, *one.listed) if one.listed else None
    span = (key.key.start, key.key.end)
    yield diagnostic_at(rule, source, span, *_made(edit), name=one.name)


def _compress(one: Middleware, source: Source) -> Iterator[Diagnostic]:
    entry = entry_at(one.node, "compress")
    if entry is None or entry.value.text.lower() == "false":
        return
    included = entry_at(entry.value, "includedcontenttypes")
    excluded = entry_at(entry.value, "excludedcontenttypes")
    edit: Edit | None = None
    if included is not None:
        stream = [item for item in items_of(included.value) if _is_stream(item)]
        if not stream:
            return
        # Without any type left, all would be compressed.
        if len(included.value.items) > 1:
            edit = remove_item(source, included, stream[0])
    elif excluded is None:
        edit = insert_entry(source, entry.value, "excludedContentTypes", (_STREAM,))
    elif any(map(_is_stream, excluded.value.items)):
        return
    else:
        edit = insert_item(source, excluded.value, _STREAM)
    span = (entry.key.start, entry.key.end)
    yield diagnostic_at(COMPRESS, source, span, *_made(edit), name=one.name)


def _is_stream(item: Node) -> bool:
    return item.text.strip().lower().startswith(_STREAM)


def find_services(model: Model, router: Router, source: Source) -> Iterator[Diagnostic]:
    """Settings of the services behind a streaming router."""
    for service in services_of(model, router):
        balancer = at(service.value, "loadbalancer")
        interval = entry_at(at(balancer, "responseforwarding"), "flushinterval")
        every_s = seconds_of(interval.value) if interval else None
        if interval and every_s:
            span = (interval.key.start, interval.key.end)
            yield diagnostic_at(FLUSH_INTERVAL, source, span, interval=interval.value.text)
        name = at(balancer, "serverstransport")
        if name is not None:
            used = model.transports.get(local_name(name.text))
            transport = used.value if used else None
            yield from _header_timeout(transport, source, sure=True)


def _header_timeout(transport: Node | None, source: Source, *, sure: bool) -> Iterator[Diagnostic]:
    entry = entry_at(at(transport, "forwardingtimeouts"), "responseheadertimeout")
    limit_s = seconds_of(entry.value) if entry else None
    if entry and limit_s and limit_s < _SLOW_HEAD_S:
        yield diagnostic_at(
            HEADER_TIMEOUT,
            source,
            (entry.key.start, entry.key.end),
            *(_made(_unlimited(source, entry)) if sure else ()),
            severity=None if sure else Severity.INFO,
            limit=f"{limit_s:g}s",
        )


def find_static(
    model: Model, routers: list[Router], source: Source, *, told: bool
) -> Iterator[Diagnostic]:
    """Limits of the static configuration.

    Args:
        routers: those of the same file that stream.
        told: whether the user said that something streams.
    """
    used = {id(point) for router in routers for point in entry_points_of(model, router)}
    for point in model.entry_points.values():
        timeouts = at(point.value, "transport", "respondingtimeouts")
        entry = entry_at(timeouts, "writetimeout")
        limit_s = seconds_of(entry.value) if entry else None
        severity = total_limit_severity(limit_s) if limit_s else None
        if entry and limit_s and severity:
            sure = told or id(point) in used
            yield diagnostic_at(
                WRITE_TIMEOUT,
                source,
                (entry.key.start, entry.key.end),
                *(_made(_unlimited(source, entry)) if sure else ()),
                severity=severity if sure else Severity.INFO,
                limit=f"{limit_s:g}s",
                name=point.key.text,
            )
    sure = told or bool(routers)
    yield from _header_timeout(at(model.root, "serverstransport"), source, sure=sure)


def _unlimited(source: Source, entry: Entry) -> Edit | None:
    """The limit taken away; a bare number stays one, since TOML has no bare durations."""
    bare = not entry.value.quoted and entry.value.text.isdecimal()
    return replace_value(source, entry.value, "0" if bare else "0s")


def _made(edit: Edit | None) -> tuple[Edit, ...]:
    return (edit,) if edit else ()
