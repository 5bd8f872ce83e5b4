"""Knob 4, in records.config, records.yaml and the conf_remap parameters of remap.config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.trafficserver.catalogue import ACTIVE, NO_ACTIVITY
from undam.lint.limits import idle_limit_severity, total_limit_severity
from undam.lint.routes import RouteHints, StreamLikelihood, classify_route
from undam.rules import Severity
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.tree_edit import replace_value

_PREFIX = "proxy.config.http."
_IDLE = ("transaction_no_activity_timeout_in", "transaction_no_activity_timeout_out")
_ACTIVE = "transaction_active_timeout_in"
_DEFAULT_IDLE_S = 30.0
LONG = "3600"

_RECORD = re.compile(
    r"^[ \t]*(?:CONFIG|LOCAL)[ \t]+(proxy\.config\.[\w.]+)[ \t]+INT[ \t]+(\S+)", re.MULTILINE
)
_ANY_RECORD = re.compile(r"^[ \t]*(CONFIG)[ \t]+proxy\.", re.MULTILINE)
_MAP = re.compile(
    r"^[ \t]*(?:reverse_)?(?:map|regex_map|map_with_recv_port)[ \t]+(\S+)[ \t]+(\S+)([^\r\n]*)",
    re.MULTILINE,
)
_PARAM = re.compile(r"@pparam=(proxy\.config\.http\.\w+)=([^\s@]+)")
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Setting:
    """One variable with its value.

    Args:
        name: without ``proxy.config.http.``.
        edit: from a new value.
    """

    name: str
    value: str
    span: tuple[int, int]
    value_span: tuple[int, int] | Node


def records(source: Source) -> list[Setting]:
    """The timeouts of records.config; of a variable that stands twice the last."""
    found = {
        one[1]: Setting(one[1].removeprefix(_PREFIX), one[2], one.span(1), one.span(2))
        for one in _RECORD.finditer(source.text)
    }
    return list(found.values())


def yaml_records(roots: tuple[Node, ...]) -> list[Setting]:
    """The timeouts of records.yaml, whose further documents go before the earlier."""
    found: dict[str, Setting] = {}
    for root in roots:
        http = (root.get("records", "ts") or root).get("http")
        for entry in http.entries if http else ():
            name = entry.key.text
            span = (entry.key.start, entry.key.end)
            found[name] = Setting(name, entry.value.text, span, entry.value)
    return list(found.values())


def streaming_parameters(source: Source, hints: RouteHints) -> Iterator[Setting]:
    """What the maps of remap.config that stream set for themselves."""
    for line in _MAP.finditer(source.text):
        if not _map_streams(line, hints):
            continue
        for one in _PARAM.finditer(source.text, *line.span(3)):
            name = one[1].removeprefix(_PREFIX)
            yield Setting(name, one[2], one.span(1), one.span(2))


def any_map_streams(source: Source, hints: RouteHints) -> bool:
    """Whether remap.config has a map that streams."""
    return any(_map_streams(line, hints) for line in _MAP.finditer(source.text))


def _map_streams(line: re.Match[str], hints: RouteHints) -> bool:
    place = re.sub(r"^[a-z]*://[^/]*", "", line[1]) or "/"
    return classify_route(place, [line[2]], hints) > StreamLikelihood.NO


def find_limits(
    source: Source, settings: list[Setting], heartbeat_s: float, *, sure: bool
) -> Iterator[Diagnostic]:
    """Limits that end a stream.

    Args:
        sure: whether something streams under them; else all are remarks, and nothing is mended.
    """
    for one in settings:
        if not _NUMBER.fullmatch(one.value):
            continue
        limit_s = float(one.value)
        if one.name in _IDLE:
            rule, new, severity = NO_ACTIVITY, LONG, idle_limit_severity(limit_s, heartbeat_s)
        elif one.name == _ACTIVE:
            rule, new, severity = ACTIVE, "0", total_limit_severity(limit_s)
        else:
            continue
        if severity:
            edit = _replaced(source, one, new) if sure else None
            yield diagnostic_at(
                rule,
                source,
                one.span,
                *((edit,) if edit else ()),
                severity=severity if sure else Severity.INFO,
                name=one.name,
                limit=one.value,
                heartbeat=heartbeat_s,
            )


def find_default(
    source: Source, settings: list[Setting], heartbeat_s: float
) -> Iterator[Diagnostic]:
    """The default of 30 s, where records.config leaves it as it is and heartbeats are rare."""
    severity = idle_limit_severity(_DEFAULT_IDLE_S, heartbeat_s)
    present = {one.name for one in settings}
    first = _ANY_RECORD.search(source.text)
    if severity is None or first is None:
        return
    for name in _IDLE:
        if name not in present:
            line = f"CONFIG {_PREFIX}{name} INT {LONG}"
            yield diagnostic_at(
                NO_ACTIVITY,
                source,
                first.span(1),
                insert_line_after(source, first.start(1), line),
                severity=severity,
                name=name,
                limit=f"{_DEFAULT_IDLE_S:g}",
                heartbeat=heartbeat_s,
            )


def _replaced(source: Source, one: Setting, new: str) -> Edit | None:
    if isinstance(one.value_span, Node):
        return replace_value(source, one.value_span, new)
    return Edit(*one.value_span, new)
