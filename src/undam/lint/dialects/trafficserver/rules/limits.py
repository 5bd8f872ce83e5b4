"""Rules ATS401-ATS402: timeouts in records.config, records.yaml and remap.config."""

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
    message="{name} is {limit} s, {expected}: the stream is cut after a longer silence",
    safety=Safety.UNSAFE,
    what="""
        Traffic Server ends a transaction after a period of inactivity (30 s by default).
        `transaction_no_activity_timeout_in` applies to the client side, and
        `transaction_no_activity_timeout_out` applies to the origin side.
    """,
    why="Nothing is sent during a long prefill or a slow tool call, so the stream is cut.",
    detection="""
        One of the two idle limits is below the expected silence (setting `silence`, 300 s by
        default). If the heartbeat interval is known, an idle limit of at most one interval is an
        error. A limit between one and two intervals is a warning. A limit on a remap.config line
        applies only to the map on that line. A limit in records.config or records.yaml applies to
        all maps. For a limit in records.config or records.yaml, the severity is info unless
        `--stream` is given or remap.config in the same directory has a streaming map.
    """,
    measured="""
        Traffic Server 9.2 with either timeout set to 2 s cut the stream 2.5 s after the last byte.
        With the default timeouts, Traffic Server cut the stream after 31.3 s. Neither
        default_inactivity_timeout nor keep_alive_no_activity_timeout cut the stream.
    """,
    fix="""
        Raise the limit, or send heartbeats more often. In records.config and records.yaml, the
        limit applies to all maps. In version 10 and later, set the limit in records.yaml:

            records:
              http:
                transaction_no_activity_timeout_out: 3600

        Before version 10, set the limit in records.config:

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
    message="{name} limits the whole transaction to {limit} s; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        transaction_active_timeout_in (900 s by default) limits the duration of a transaction,
        regardless of activity.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="""
        transaction_active_timeout_in is above 0 and below one hour. A limit of up to one minute is
        reported as an error, and a longer limit as a warning. A limit on a remap.config line
        applies only to the map on that line. For a limit in records.config or records.yaml, the
        severity is info unless `--stream` is given or remap.config in the same directory has a
        streaming map.
    """,
    measured="""
        Traffic Server 9.2 with a limit of 2 s truncated the stream after 2.9 s, although events
        arrived every 100 ms. The limit was set in records.config or through conf_remap. A
        transaction_active_timeout_out of 2 s did not cut the stream.
    """,
    fix="""
        Set the limit to 0 (no limit) unless you need it for another purpose. In version 10 and
        later, set the limit in records.yaml:

            records:
              http:
                transaction_active_timeout_in: 0

        Before version 10, set the limit in records.config:

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
    """Find timeouts that cut off streams.

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
    """Report idle timeouts that are left at the default of 30 s, if that is too short."""
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
