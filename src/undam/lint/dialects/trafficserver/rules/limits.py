"""ATS401-ATS402: timeouts in records.config, records.yaml and remap.config."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.trafficserver.parser import RECORD_PREFIX, TimeoutRecord
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.tree_edit import replace_value

NO_ACTIVITY = ConfigRule(
    code="ATS401",
    slug="no-activity-timeout",
    severity=Severity.ERROR,
    message=("{name} {limit} s cuts a stream that is silent for that long ({expected})"),
    safety=Safety.UNSAFE,
    what="""
        transaction_no_activity_timeout_in and _out (30 s by default) end a transaction without
        activity, towards the client and towards the origin.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        One of the limits is below the expected silence (setting `silence`, 300 s by default). If
        heartbeats are known, the limit is below two heartbeat intervals instead. Up to one interval
        it is reported as an error; above that, as a warning. In remap.config it applies to its own
        map. In the records it applies to all maps, so the severity is info, unless `--stream` is
        given or a map in the remap.config of the same folder streams.
    """,
    measured="""
        Traffic Server 9.2 with 2, for either of the two, cut the stream 2.5 s after the last byte;
        the default cut it at 31.3 s. default_inactivity_timeout and
        keep_alive_no_activity_timeout did not cut the stream.
    """,
    fix="""
        Raise the limit, or send heartbeats more often. In the records, the limit applies to all
        maps. In records.yaml, the only form since version 10:

            records:
              http:
                transaction_no_activity_timeout_out: 3600

        In records.config, before version 10:

            CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600
    """,
    source=(
        "measured on loopback with Traffic Server 9.2; docs.trafficserver.apache.org, "
        "records.config and records.yaml, HTTP connection timeouts"
    ),
)

ACTIVE = ConfigRule(
    code="ATS402",
    slug="active-timeout",
    severity=Severity.ERROR,
    message="{name} {limit} s limits the whole transaction; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        transaction_active_timeout_in limits the duration of a transaction, with or without
        activity. The default is 900 s.
    """,
    why="""
        A longer stream is cut while tokens are still arriving, and heartbeats do not prevent it.
    """,
    detection="""
        The limit is above 0 and below one hour. Up to one minute it is reported as an error; above
        that, as a warning. In remap.config it applies to its own map. In the records the severity
        is info, unless `--stream` is given or a map in the remap.config of the same folder streams.
    """,
    measured="""
        Traffic Server 9.2 with 2, in records.config and through conf_remap, cut the stream after
        2.9 s, truncated, while events arrived every 100 ms. transaction_active_timeout_out 2 did
        not cut the stream.
    """,
    fix="""
        Remove the limit unless it was set for another reason; 0 means no limit. In records.yaml,
        the only form since version 10:

            records:
              http:
                transaction_active_timeout_in: 0

        In records.config, before version 10:

            CONFIG proxy.config.http.transaction_active_timeout_in INT 0
    """,
    source=(
        "measured on loopback with Traffic Server 9.2; docs.trafficserver.apache.org, "
        "records.config and records.yaml, HTTP connection timeouts"
    ),
)

RULES = (NO_ACTIVITY, ACTIVE)

_IDLE = ("transaction_no_activity_timeout_in", "transaction_no_activity_timeout_out")
_ACTIVE = "transaction_active_timeout_in"
_DEFAULT_IDLE_S = 30.0
_LONG = "3600"

_ANY_RECORD = re.compile(r"^[ \t]*(CONFIG)[ \t]+proxy\.", re.MULTILINE)
_NUMBER = re.compile(r"\d{1,12}", re.ASCII)


def find(
    source: Source, records: Iterable[TimeoutRecord], silence: ExpectedSilence, *, streams: bool
) -> Iterator[Diagnostic]:
    """Find limits that cut a stream.

    Args:
        streams: something is known to stream under these limits. If not, the severity is info and
            there is no fix.
    """
    for record in records:
        if not _NUMBER.fullmatch(record.value):
            continue
        limit_s = float(record.value)
        if record.name in _IDLE:
            rule, new, severity = NO_ACTIVITY, _LONG, silence.severity(limit_s)
        elif record.name == _ACTIVE:
            rule, new, severity = ACTIVE, "0", total_limit_severity(limit_s)
        else:
            continue
        if severity:
            edit = _replace(source, record, new) if streams else None
            yield diagnostic_at(
                rule,
                source,
                record.span,
                *((edit,) if edit else ()),
                severity=severity if streams else Severity.INFO,
                name=record.name,
                limit=record.value,
                expected=silence.reason,
            )


def find_default(
    source: Source, records: Iterable[TimeoutRecord], silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Find idle limits that records.config leaves at 30 s, if that is too short."""
    severity = silence.severity(_DEFAULT_IDLE_S)
    present = {record.name for record in records}
    first = _ANY_RECORD.search(source.text)
    if severity is None or first is None:
        return
    for name in _IDLE:
        if name not in present:
            line = f"CONFIG {RECORD_PREFIX}{name} INT {_LONG}"
            yield diagnostic_at(
                NO_ACTIVITY,
                source,
                first.span(1),
                insert_line_after(source, first.start(1), line),
                severity=severity,
                name=name,
                limit=f"{_DEFAULT_IDLE_S:g}",
                expected=silence.reason,
            )


def _replace(source: Source, record: TimeoutRecord, new: str) -> Edit | None:
    if isinstance(record.value_place, Node):
        return replace_value(source, record.value_place, new)
    return Edit(*record.value_place, new)
