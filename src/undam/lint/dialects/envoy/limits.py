"""Knob 4: limits that end a stream by its age or its silence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.envoy.catalogue import (
    DEFAULT_TIMEOUT,
    IDLE,
    MAX_DURATION,
    TIMEOUT,
    TRY,
    TRY_IDLE,
)
from undam.lint.dialects.envoy.model import (
    Manager,
    Route,
    camel,
    cluster_options,
    field,
    field_entry,
)
from undam.lint.limits import idle_limit_severity, total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import insert_entry, replace_value

_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)s", re.ASCII)
_SECONDS = re.compile(r"\d{1,12}", re.ASCII)
_DEFAULT_IDLE_S = 300.0
# A head that is a minute late is late for other reasons than the model.
_SLOW_HEAD_S = 60.0
NONE, LONG = "0s", "3600s"


def seconds_of(node: Node) -> float | None:
    """A protobuf duration, ``15s`` or ``{seconds: 15}``; ``None`` where it is none."""
    if node.kind == "map":
        whole = node.get("seconds")
        return float(whole.text) if whole and _SECONDS.fullmatch(whole.text) else None
    found = _DURATION.fullmatch(node.text)
    return float(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class _Limit:
    """Where a limit stands and what it says."""

    entry: Entry
    limit_s: float

    @property
    def span(self) -> tuple[int, int]:
        return self.entry.key.start, self.entry.key.end

    @property
    def written(self) -> str:
        return f"{self.limit_s:g}s"


def _limit(node: Node | None, name: str) -> _Limit | None:
    entry = field_entry(node, name)
    limit_s = seconds_of(entry.value) if entry else None
    return None if entry is None or limit_s is None else _Limit(entry, limit_s)


def find_limits(
    manager: Manager, route: Route, source: Source, heartbeat_s: float
) -> Iterator[Diagnostic]:
    """What ends the streams of a route before their time."""
    yield from _timeout(route, source)
    yield from _max_duration(manager, route, source)
    yield from _idle(manager, route, source, heartbeat_s)
    yield from _tries(route, source, heartbeat_s)


def unread_limits(route: Route, source: Source) -> Iterator[UnreadPart]:
    """Limits of a route that are no durations."""
    for name in ("timeout", "idle_timeout"):
        entry = field_entry(route.action, name)
        if entry is not None and seconds_of(entry.value) is None:
            line, _ = source.position(entry.key.start)
            yield UnreadPart(source.path, line, f"the duration of {name}")


def _timeout(route: Route, source: Source) -> Iterator[Diagnostic]:
    if field_entry(route.action, "timeout") is None:
        edit = insert_entry(source, route.action, "timeout", NONE)
        span = (route.entry.key.start, route.entry.key.end)
        yield diagnostic_at(DEFAULT_TIMEOUT, source, span, *_made(edit))
        return
    limit = _limit(route.action, "timeout")
    severity = total_limit_severity(limit.limit_s) if limit else None
    if limit and severity:
        yield _too_short(TIMEOUT, source, limit, severity, _set(source, limit, NONE))


def _max_duration(manager: Manager, route: Route, source: Source) -> Iterator[Diagnostic]:
    name = "max_stream_duration"
    own = _limit(field(route.action, name), name)
    shared = _limit(field(manager.node, "common_http_protocol_options"), name)
    limit = own or shared
    severity = total_limit_severity(limit.limit_s) if limit else None
    if limit and severity:
        edit = _set(source, limit, NONE) if own else _free(source, route, name)
        yield _too_short(MAX_DURATION, source, limit, severity, edit)
    for cluster in route.clusters:
        limit = _limit(cluster_options(cluster), name)
        severity = total_limit_severity(limit.limit_s) if limit else None
        if limit and severity:
            edit = _set(source, limit, NONE)
            yield _too_short(MAX_DURATION, source, limit, severity, edit)


def _free(source: Source, route: Route, name: str) -> Edit | None:
    existing = field_entry(route.action, name)
    if existing is not None:
        return insert_entry(source, existing.value, name, NONE)
    spelled = _spelled(route, name)
    return insert_entry(source, route.action, spelled, {spelled: NONE})


def _idle(
    manager: Manager, route: Route, source: Source, heartbeat_s: float
) -> Iterator[Diagnostic]:
    if field_entry(route.action, "idle_timeout") is not None:
        limit, knob = _limit(route.action, "idle_timeout"), "idle_timeout"
        edit = _set(source, limit, LONG) if limit else None
    else:
        knob = "stream_idle_timeout"
        edit = insert_entry(source, route.action, _spelled(route, "idle_timeout"), LONG)
        limit = _limit(manager.node, knob)
        if limit is None and field_entry(manager.node, knob) is None:
            limit = _Limit(route.entry, _DEFAULT_IDLE_S)
    severity = idle_limit_severity(limit.limit_s, heartbeat_s) if limit else None
    if limit and severity:
        evidence = {"knob": knob, "heartbeat": heartbeat_s}
        yield _too_short(IDLE, source, limit, severity, edit, **evidence)


def _tries(route: Route, source: Source, heartbeat_s: float) -> Iterator[Diagnostic]:
    own = field(route.action, "retry_policy")
    policy = own or field(route.around[0], "retry_policy")
    idle = _limit(policy, "per_try_idle_timeout")
    severity = idle_limit_severity(idle.limit_s, heartbeat_s) if idle else None
    if idle and severity:
        edit = _set(source, idle, LONG)
        yield _too_short(TRY_IDLE, source, idle, severity, edit, heartbeat=heartbeat_s)
    head = _limit(policy, "per_try_timeout")
    if head and 0 < head.limit_s < _SLOW_HEAD_S:
        yield _too_short(TRY, source, head, TRY.severity, _set(source, head, NONE))


def _spelled(route: Route, name: str) -> str:
    """A field as the routes around spell theirs."""
    return camel(name) if any(one.entry("virtualHosts") for one in route.around) else name


def _too_short(
    rule: ConfigRule,
    source: Source,
    limit: _Limit,
    severity: Severity,
    edit: Edit | None,
    **evidence: object,
) -> Diagnostic:
    return diagnostic_at(
        rule,
        source,
        limit.span,
        *_made(edit),
        severity=severity,
        limit=limit.written,
        **evidence,
    )


def _set(source: Source, limit: _Limit, text: str) -> Edit | None:
    return replace_value(source, limit.entry.value, text)


def _made(edit: Edit | None) -> tuple[Edit, ...]:
    return (edit,) if edit else ()
