"""Validity of a load test as JSON: the steady state, the offered and served rates, and caveats."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undam.metrics.validity.flow import LoadFlow
from undam.rules import Finding, Severity
from undam.timing import to_ms

# If a larger share fails, the latencies of the other requests do not describe the service.
MAX_FAILED_SHARE = 0.01
# Codes of findings about failed requests.
_FAILURES = ("UD609", "UD610")


def caveats_in(findings: Sequence[Finding], failed_share: float) -> list[Finding]:
    """Return the findings that limit the validity of the metrics."""
    return [
        one
        for one in findings
        if one.code.startswith("UD9") or (one.code in _FAILURES and failed_share > MAX_FAILED_SHARE)
    ]


def caveats_json(caveats: Sequence[Finding]) -> dict[str, Any]:
    """Return whether the metrics are valid, and the caveats with their reasons and remedies."""
    return {
        "valid": all(one.severity is Severity.INFO for one in caveats),
        "caveats": [
            {
                "code": one.code,
                "slug": one.slug,
                "severity": one.severity.value,
                "reason": one.message,
                "remedy": f"{one.fix.where}: {one.fix.text}"
                if one.fix is not None
                else f"see undam explain {one.code}",
            }
            for one in caveats
        ],
    }


def flow_json(flow: LoadFlow) -> dict[str, Any]:
    """Return the offered rate, the served rate and the steady state."""
    steady, offered = flow.steady, flow.offered_per_second
    row: dict[str, Any] = {
        "start_s": None,
        "end_s": None,
        "requests": 0,
        "in_flight": None,
        "requests_per_second": None,
        "tokens_per_second": None,
        "events_per_second": None,
    }
    if steady is not None:
        row = {
            "start_s": round(steady.start_ns / 1e9, 3),
            "end_s": round(steady.end_ns / 1e9, 3),
            "requests": steady.requests,
            "in_flight": round(steady.in_flight, 2),
            "requests_per_second": round(steady.requests_per_second, 3),
            "tokens_per_second": round(steady.tokens_per_second, 3),
            "events_per_second": round(steady.events_per_second, 3),
        }
    return {
        "offered_per_second": None if offered is None else round(offered, 3),
        "served_per_second": row["requests_per_second"],
        "steady": {**row, "reason": flow.reason},
    }


def load_json(flow: LoadFlow, start_ns: int) -> dict[str, Any]:
    """Return the load over time, relative to ``start_ns`` and including warm-up."""
    rows = flow.rows()
    return {
        "width_ms": to_ms(flow.width_ns),
        "columns": ["at_ms", "offered", "served", "ended", "in_flight", "tokens"],
        "rows": [
            [
                to_ms(at_ns - start_ns),
                bucket.begun,
                bucket.served_ended.requests,
                bucket.ended,
                in_flight,
                bucket.served_ended.tokens,
            ]
            for at_ns, bucket, in_flight in rows
        ],
    }
