"""Forms of the JSON results of `undam bench` and `undam compare`."""

from __future__ import annotations

from undam.cli.schemas.findings import DAMAGE, FINDING, SCHEMA, SEVERITY, command
from undam.cli.schemas.notation import Form, NamedForm

_TIMES: dict[str, Form] = {
    "count": "integer",
    **dict.fromkeys(("min", "mean", "p50", "p90", "p95", "p99", "p99.9", "max"), "number|null"),
}
_HISTOGRAM: Form = {
    "bits": "integer",
    "min": "integer|null",
    "max": "integer|null",
    "total": "integer",
    "counts": "string: index:count, ascending",
}
_TABLE: dict[str, Form] = {"columns": ["string"], "rows": [["number|null"]]}
_CAVEAT: Form = {
    "code": "string",
    "slug": "string",
    "severity": SEVERITY,
    "reason": "string",
    "remedy": "string",
}
_CONDITIONS: dict[str, Form] = {
    "undam?": "string",
    "python?": "string",
    "system?": "string",
    "host?": "string: anonymous; equal for processes that share a clock",
    "url?": "string",
    "api?": "string",
    "model?": "string",
    "prompts?": "any",
    "unique_prompts?": "boolean",
    "prefix_share?": "number",
    "has_history?": "boolean",
    "streams?": "boolean: false if each response is one document",
    "has_pauses?": "boolean: whether --think-time is used",
    "timeout_s?": "number|null",
    "http_version?": "'1.1'|'2'",
    "streams_per_connection?": "integer|null: the limit of HTTP/2; null with HTTP/1.1",
    "load?": "string",
    "workers?": "integer",
    "concurrency?": "integer|null",
    "rate?": "number|null",
    "concurrency_limit?": "integer|null: --max-concurrency",
    "arrivals?": "string|null",
    "seed?": "integer|null",
}
_COUNTS: dict[str, Form] = {
    "valid": "boolean: no caveat of severity error or warning",
    "caveats": [_CAVEAT],
    "requests": "integer: measured requests",
    "complete": "integer",
    "errors": "integer",
    "incomplete": "integer",
    "abandoned": "integer",
    "cancelled": "integer: requests cancelled because of --cancel-share",
    "warmup": "integer",
    "without_content": "integer",
    "duration_s": "number",
    "errors_by_kind": {"*": "integer"},
    "incomplete_by_kind": {"*": "integer"},
    "failed_by_status": {"*": "integer"},
    "messages": {"*": "string"},
    "retry_after": {"count": "integer", "min_s": "number|null", "max_s": "number|null"},
    "offered_per_second": "number|null",
    "served_per_second": "number|null",
    "steady": {
        "start_s": "number|null",
        "end_s": "number|null",
        "requests": "integer",
        "in_flight": "number|null",
        "requests_per_second": "number|null",
        "tokens_per_second": "number|null",
        "events_per_second": "number|null",
        "reason": "string|null: why there is no steady state",
    },
}
_METRICS: dict[str, Form] = {
    "ttft_ms": {
        **_TIMES,
        "of": "integer: requests sent",
        "timed_out": "integer: requests without content that ended by a time limit",
    },
    "itl_ms": {
        **_TIMES,
        "timed_out?": "integer: requests with content that ended by a time limit",
        "bounded": "integer: gaps of events that shared a read",
        "bounded_ms_p99": "number|null",
        "lowest": _TIMES,
        "highest": _TIMES,
    },
    "tpot_ms": _TIMES,
    "e2e_ms": _TIMES,
    "send_delay_ms": _TIMES,
    "first_answer_ms?": _TIMES,
    "events": "integer",
    "tokens": "integer",
    "tokens_from": "string: usage, events, or both",
    "input_tokens": "integer|null",
    "cached_tokens": "integer|null",
    "cached_percent": "number|null",
    "reasoning_tokens": "integer|null",
    "events_per_second": "number",
    "tokens_per_second": "number",
    "requests_per_second": "number",
    "events_per_read": {"p50": "integer|null", "p99": "integer|null", "max": "integer|null"},
    "stalls": "integer",
    "stall_ms": "number: gaps above this are stalls",
    "stalled_answers": "integer",
    "longest_gaps": [{"gap_ms": "number", "request": "integer", "after_events": "integer"}],
    "heartbeats": "integer",
    "integrity": {
        "checked": "integer: responses whose events have numbers",
        "damaged": "integer: responses with a fault in their content",
        **dict.fromkeys(("lost", "duplicated", "reordered", "altered", "torn", "mixed"), "integer"),
        "truncated_json": "integer: responses with an incomplete event",
    },
    "empties": "integer",
    "client": {
        "clock": "'kernel'|'user'",
        "late_ms_p99": "number|null",
        "late_ms_max": "number|null",
        "uncertain_gaps": "integer",
        "cpu_percent": "number|null",
        "waited_percent": "number|null",
        "workers": "integer",
        "clock_step_ms": "number",
        "cpu_percent_by_worker?": ["number|null"],
        "connections?": "integer",
        "resent?": "integer",
    },
    "findings": [FINDING],
    "histograms": {"*": _HISTOGRAM},
    "timeline": {"width_ms": "number", **_TABLE},
    "load_over_time": {"width_ms": "number", **_TABLE},
    "blocks": {
        "requests_each": "integer",
        "rows": [
            {
                "first": "integer",
                "requests": "integer",
                "failed": "integer",
                **dict.fromkeys(("ttft", "itl", "tpot", "e2e"), _HISTOGRAM),
            }
        ],
    },
    "slowest": [
        {
            "number": "integer",
            "worker": "integer",
            "outcome": "string",
            "kind": "string",
            "send_delay_ms": "number|null",
            "ttft_ms": "number|null",
            "e2e_ms": "number",
            "events": "integer",
            "longest_gap_ms": "number|null",
        }
    ],
}
_SERVER: Form = {
    "engine": "string",
    "samples": "integer",
    **_TABLE,
    **dict.fromkeys(("running_max", "waiting_max", "kv_usage_max"), "number|null"),
    "ttft_ms": "number|null",
    "queue_ms": "number|null",
    "cache_hit_percent": "number|null",
    "ttft_parts_ms": dict.fromkeys(("client", "queue", "engine", "hop"), "number|null"),
    "late": "string|null: the longest part of TTFT",
}
_RUN: dict[str, Form] = {
    "server?": ("null", _SERVER),
    "sessions?": (
        "null",
        {
            "started": "integer: conversations",
            "complete": "integer: conversations whose turns are all complete",
            "failed": "integer: conversations with a failed turn",
            "duration_ms": _TIMES,
            "turns": [{"turn": "integer: from 1", "ttft_ms": _TIMES}],
        },
    ),
    "targets?": [
        {
            "url": "string",
            "requests": "integer",
            "complete": "integer",
            "failed_percent": "number",
            "ttft_ms": _TIMES,
            "e2e_ms": _TIMES,
        }
    ],
    "http2?": (
        "null",
        {
            "stream_limit": "integer|null: streams per connection that the server allows, if fewer",
            "refused_streams": "integer: refused streams, each retried once",
            "goaways": "integer: connections on which the server sent GOAWAY",
        },
    ),
    "warmup_asked?": "integer|null",
    "goodput_percent?": "number",
    "slo?": [
        {
            "slo": "string",
            "met": "boolean",
            "limit": "number",
            "value": "number|null",
            "unit": "string",
            "margin_percent": "number|null",
            "failed_requests": "integer",
            "doubtful": "boolean",
        }
    ],
    "interrupted?": "boolean|null",
    "planned?": "integer|null",
    "missing_percent?": "number|null",
    "nodes?": [
        {
            "node": "string",
            "host": "string",
            "clock_offset_ms": "number",
            "clock_doubt_ms": "number",
        }
    ],
    "lost_workers?": (
        "null",
        [
            {
                "worker": "integer",
                "why": "string",
                "measured?": "integer",
                "missing_percent": "number",
                "at_s": "number",
            }
        ],
    ),
    "damage?": DAMAGE,
}
_HEAD: dict[str, Form] = {"schema": SCHEMA, "command": command("bench")}
_BODY: dict[str, Form] = {**_CONDITIONS, **_COUNTS, **_METRICS, **_RUN}
_STEPS: dict[str, Form] = {
    **_HEAD,
    "sweep": [{"step": "string", **_HEAD, **_BODY}],
    "max_rate?": "number|null: the highest rate that met all objectives",
    "missed_rate?": "number|null",
    "max_concurrency?": "number|null",
    "missed_concurrency?": "number|null",
    "searched?": "'rate'|'concurrency'",
    "interval?": ["number|null"],
    "confirmed?": "boolean",
    "stopped_by?": "'client'|null",
    "interrupted?": "boolean: whether the search was interrupted",
}

BENCH = NamedForm(
    "bench",
    "Result of undam bench: one run, or the steps of --sweep or --find-max",
    ({**_HEAD, **_BODY}, _STEPS),
)

_STATISTIC: dict[str, Form] = {
    "statistic": "string",
    "a": "number|null",
    "b": "number|null",
    "ratio": "number|null: b / a",
    "low": "number|null: lower end of the ratio's confidence interval",
    "high": "number|null",
    "verdict": "string",
}

COMPARE = NamedForm(
    "compare",
    "Result of undam compare",
    {
        "schema": SCHEMA,
        "command": command("compare"),
        "a": "string",
        "b": "string",
        "threshold_percent": "number",
        "metrics": [{"metric": "string", "verdict": "string", "statistics": [_STATISTIC]}],
        "regressions": [{"metric": "string", **_STATISTIC}],
        "notes": ["string"],
    },
)
