"""Forms of the JSON results of the stream analysis commands: check, watch, tap and monitor."""

from __future__ import annotations

from undam.cli.schemas.findings import (
    DAMAGE,
    EVENTS_PER_READ,
    FINDING,
    FIX,
    SCHEMA,
    SEVERITY,
    VERDICT,
    command,
)
from undam.cli.schemas.notation import Form, NamedForm

_HOLD: Form = {"first": "number", "p50": "number", "p99": "number", "max": "number"}
_INTEGRITY: Form = {
    "evidence": "string",
    "exact": "boolean",
    "sent": "integer|null",
    "received": "integer|null",
    "lost": "integer",
    "duplicated": "integer",
    "reordered": "integer",
    "altered": "integer",
    "torn": "integer",
    "mixed": "integer",
}
_HOP: Form = {
    "name": "string",
    "url": "string: without secrets",
    "verdict": VERDICT,
    "framing?": "string|null: sse, ndjson, json-seq, json-array, eventstream, multipart, text or "
    "bytes",
    "api?": "string|null",
    "http_version?": "string|null",
    "status?": "integer|null",
    "dns_ms?": "number|null",
    "connect_ms?": "number|null",
    "tls_ms?": "number|null",
    "headers_ms": "number|null: from the end of the request to the response head",
    "ttft_ms?": "number|null: from the end of the request to the first non-empty content",
    "e2e_ms?": "number|null",
    "hold_ms?": ("null", _HOLD),
    "hold_is_exact?": "boolean|null: false if the hold is estimated from an inner hop",
    "events?": "integer: content events",
    "reads?": "integer|null: reads that contained content",
    "events_per_read?": ("null", EVENTS_PER_READ),
    "release?": "'size'|'timer'|'next'|'end'|'unclear'|null",
    "release_bytes?": "integer|null: size of the blocks in which the hop releases events",
    "release_every_ms?": "number|null: period of the hop's timer",
    "intermediaries?": ("null", ["string"]),
    "proxy?": "string|null",
    "tls_issuer?": "string|null",
    "tls_days_left?": "number|null: until the certificate expires",
    "complete?": "boolean|null",
    "cut_after_s?": "number|null",
    "ending?": "'complete'|'closed'|'truncated'|'reset'|'timeout'|'limit'|null",
    "streams?": "integer|null",
    "integrity?": ("null", _INTEGRITY),
    "reported_ms?": "any",
    "error?": "string|null: why this hop returned no stream",
}
_SUSPECT: Form = {
    "hop": "string",
    "name": "string: see undam explain NAME",
    "title": "string",
    "signed": "boolean: the response carries its fingerprint",
    "evidence": ["string"],
    "fix": ("null", FIX),
}

CHECK = NamedForm(
    "check",
    "Result of undam check, or of undam report for a check record",
    {
        "schema": SCHEMA,
        "command": command("check"),
        "verdict": VERDICT,
        "hops": [_HOP],
        "findings": [FINDING],
        "suspects?": [_SUSPECT],
        "experiments?": [{"name": "string", "hop": "string", "result": "string"}],
        "clock?": {
            "source": "'kernel'|'user'",
            "late_ms_p99": "number",
            "coalesced_reads": "integer",
        },
        "beacon?": {"offset_ms": "number", "uncertainty_ms": "number", "path_ms": "number"},
        "limits?": {
            "tried_s": "number",
            "idle_s": "number|null",
            "total_s": "number|null",
            "drop_between_s": "any",
            "heartbeats_save": "boolean|null",
            "heartbeats_arrive": "boolean|null",
        },
        "cancel?": [{"when": "string", "seen_after_ms": "number|null"}],
        "mcp?": {"*": "any"},
        "damage?": DAMAGE,
    },
)

WATCH = NamedForm(
    "watch",
    "Result of undam watch",
    {
        "schema": SCHEMA,
        "command": command("watch"),
        "verdict": VERDICT,
        "url": "string",
        "headers_ms": "number|null",
        "ttft_ms": "number|null",
        "e2e_ms": "number|null",
        "itl_ms": ("null", {"p50": "number", "p99": "number", "max": "number"}),
        "tokens_per_second": "number|null",
        "events": "integer",
        "reads": "integer",
        "events_per_read": EVENTS_PER_READ,
        "stalls": "integer: gaps of at least one second",
        "heartbeats": "integer",
        "output_tokens": "integer|null: as counted by the server",
        "text": "string",
        "complete": "boolean|null",
        "interrupted": "boolean",
        "findings": [
            {
                "code": "string",
                "slug": "string",
                "severity": SEVERITY,
                "message": "string",
                "evidence": {"*": "any"},
            }
        ],
        "clock": {"source": "'kernel'|'user'"},
    },
)

_QUANTILES: Form = ("null", {"p50": "number", "p99": "number", "max": "number"})
_PROXY: Form = {
    "address": "string",
    "process": "string|null",
    "streams": "integer",
    "verdict": VERDICT,
    "verdicts": {"*": "integer"},
    "hold_ms": _QUANTILES,
    "release_bytes": "integer|null",
    "release_every_ms": "number|null",
    "ttft_in_ms": _QUANTILES,
    "ttft_out_ms": _QUANTILES,
    "heartbeats": {"in": "integer", "out": "integer"},
    "cancels": {"passed_on_ms": _QUANTILES, "ignored": "integer"},
    "cuts": {"*": "integer"},
    "retransmitted": "integer",
    "zero_windows": "integer",
    "streams_with_missing_packets": "integer",
    "held_streams": "integer",
    "integrity": {
        **dict.fromkeys(
            ("sent", "received", "lost", "duplicated", "reordered", "altered", "torn"), "integer"
        ),
        "streams": "integer: streams that were compared",
        "first": {"*": "string: the first place of each kind of fault"},
    },
    "estimated": "boolean: one side is TLS, so holds follow from record sizes",
}

TAP = NamedForm(
    "tap",
    "Result of undam tap",
    {
        "schema": SCHEMA,
        "command": command("tap"),
        "source": "string",
        "problems": ["string"],
        "clocks": [{"file": "string", "offset_ms": "number", "uncertainty_ms": "number"}],
        "packets": "integer",
        "lost": "integer",
        "lost_bytes": "integer",
        "streams": "integer",
        "streams_skipped": "integer",
        "responses_passed_over": "integer",
        "packets_without_tcp": "integer",
        "connections_not_decoded": {"tls": "integer", "http2": "integer"},
        "proxies": [_PROXY],
        "servers": [
            {"address": "string", "streams": "integer", "verdict": VERDICT, "upstream": "boolean"}
        ],
        "findings": [FINDING],
    },
)

MONITOR = NamedForm(
    "monitor",
    "Result of undam monitor --once, or the names of the targets with --check-config",
    {
        "schema": SCHEMA,
        "command": command("monitor"),
        "targets": (
            ["string"],
            [
                {
                    "target": "string",
                    "verdict": f"{VERDICT}|null",
                    "error": "string|null",
                    "ttft_ms": "number|null",
                    "missed": ["string"],
                }
            ],
        ),
    },
)

MONITOR_LOG = NamedForm(
    "monitor-log",
    "Result of undam monitor log",
    {
        "schema": SCHEMA,
        "command": command("monitor log"),
        "changes": [
            {
                "schema": SCHEMA,
                "kind": "'change'",
                "target": "string",
                "since": "string",
                "text": "string",
                "verdict_before": f"{VERDICT}|null",
                "verdict": f"{VERDICT}|null",
                "findings": ["string"],
                "fixes?": ["string: program and line, as in a fix"],
            }
        ],
    },
)
