"""The rules of Traffic Server's configuration, as data."""

from __future__ import annotations

from undam.lint.diagnostics import ConfigRule, Safety
from undam.rules import Severity

_MEASURED = "measured on loopback with Traffic Server 9.2"
_RECORDS = "docs.trafficserver.apache.org, records.config, HTTP connection timeouts"

NO_FLUSH = ConfigRule(
    code="ATS101",
    slug="compress-without-flush",
    severity=Severity.ERROR,
    message=(
        "compresses text/event-stream ({pattern}) and flushes only "
        "at the end: 'flush true' is missing"
    ),
    safety=Safety.SAFE,
    what="""
        The compress plugin keeps what it has compressed until its buffer is full, unless `flush` is
        true; the default is false.
    """,
    why="The head comes at once, then nothing until the model has finished.",
    detection="""
        A section of compress.config has a compressible-content-type that matches event streams, is
        enabled, and has no `flush true`. Where the type is only a wide pattern (text/*) it is an
        error with `--stream`, and else a remark.
    """,
    measured="""
        Traffic Server 9.2, events 25 ms apart for 3 s: head after 1 ms, all events after 3.0 s;
        with `flush true` 0.3 ms. A type without a star does not match one with a charset.
    """,
    fix="""
        Safe; what is compressed leaves in more pieces, and grows a little.
            compressible-content-type text/event-stream*
            flush true
    """,
    source=_MEASURED + "; docs.trafficserver.apache.org, Compress Plugin",
)

NO_ACTIVITY = ConfigRule(
    code="ATS401",
    slug="no-activity-timeout",
    severity=Severity.ERROR,
    message=(
        "{name} {limit} s cuts a silent stream before two heartbeats of {heartbeat:g} s can come"
    ),
    safety=Safety.UNSAFE,
    what="""
        transaction_no_activity_timeout_in and _out (30 s by default) end a transaction on which
        nothing moves, to the client and to the origin.
    """,
    why="A long prefill or a slow tool call is silent, and the stream is cut in it.",
    detection="""
        One of them is below two heartbeat intervals (`heartbeat` in the settings, 15 s unless
        told): an error below one interval, a warning below two. In remap.config it counts for its
        map alone; in the records for all, so it is a remark there, unless `--stream` or a map of
        the remap.config beside it says that something streams.
    """,
    measured="""
        Traffic Server 9.2 with 2, either of the two: cut 2.5 s after the last byte; the default cut
        at 31.3 s. default_inactivity_timeout and keep_alive_no_activity_timeout cut nothing.
    """,
    fix="""
        Unsafe; in the records it holds for all maps. Or send heartbeats more often. In
        records.yaml, the only form from 10 on:
            records:
              http:
                transaction_no_activity_timeout_out: 3600
        In records.config, before 10:
            CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600
    """,
    source=_MEASURED + "; " + _RECORDS,
)

ACTIVE = ConfigRule(
    code="ATS402",
    slug="active-timeout",
    severity=Severity.ERROR,
    message="{name} {limit} s ends the whole transaction; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        transaction_active_timeout_in limits how long a transaction may take, whatever moves on it.
        The default is 900 s.
    """,
    why="A stream that takes longer is cut in the middle, and no heartbeat moves the limit.",
    detection="""
        It stands in the text, above 0 and below an hour: an error up to a minute, a warning above.
        In remap.config it counts for its map alone; in the records it is a remark, unless
        `--stream` or a map of the remap.config beside it says that something streams.
    """,
    measured="""
        Traffic Server 9.2 with 2, in records.config and through conf_remap: cut after 2.9 s,
        truncated, while events came each 100 ms. transaction_active_timeout_out 2 cut nothing.
    """,
    fix="""
        Unsafe, since somebody chose this limit; 0 is no limit. In records.yaml, the only form from
        10 on:
            records:
              http:
                transaction_active_timeout_in: 0
        In records.config, before 10:
            CONFIG proxy.config.http.transaction_active_timeout_in INT 0
    """,
    source=_MEASURED + "; " + _RECORDS,
)

RULES = (NO_FLUSH, NO_ACTIVITY, ACTIVE)
