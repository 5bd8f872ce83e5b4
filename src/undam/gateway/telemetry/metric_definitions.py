"""Definitions of the gateway's metrics.

Names and buckets follow OpenTelemetry's semantic conventions (gen-ai-metrics) where they define
them. The other names begin with ``undam_gateway``.

A series is identified by its family's name and one value per label. Its values are integers: one
for a counter or gauge; for a histogram, one per bucket, one for values above the last bound, and
the sum in nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass

MODEL_LABELS = (
    "upstream",
    "gen_ai_request_model",
    "gen_ai_operation_name",
    "gen_ai_provider_name",
)

TTFT_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
          10.0)  # fmt: skip
TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
              81.92)  # fmt: skip
# The OpenTelemetry conventions define no buckets for single gaps. These are the token buckets with
# two additions: finer ones, because small models generate a token in less than 10 ms, and coarser
# ones for stalls.
GAP_S = (0.001, 0.0025, 0.005, *TOKEN_S, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric.

    Args:
        kind: ``counter``, ``gauge`` or ``histogram``.
        help: text of the HELP line.
        bounds_s: upper bounds of a histogram's buckets, in seconds.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds_s: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """Number of integers in each series of the metric."""
        return len(self.bounds_s) + 2 if self.kind == "histogram" else 1


def _counter(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"undam_gateway_{name}", "counter", help_text, labels)


def _gauge(name: str, help_text: str, *labels: str) -> Family:
    return Family(f"undam_gateway_{name}", "gauge", help_text, labels)


TTFT = Family(
    "gen_ai_server_time_to_first_token_seconds", "histogram",
    "Time from the request to the first content, across all attempts. Roles, comments and empty"
    " deltas are not content.", MODEL_LABELS, TTFT_S,
)  # fmt: skip
TPOT = Family(
    "gen_ai_server_time_per_output_token_seconds", "histogram",
    "Time from the first to the last content event, divided by the number of events after the"
    " first. Complete streams only.", MODEL_LABELS, TOKEN_S,
)  # fmt: skip
DURATION = Family(
    "gen_ai_server_request_duration_seconds", "histogram",
    "Time from the request to the end of the response.", (*MODEL_LABELS, "error_type"), DURATION_S,
)  # fmt: skip
GAP = Family(
    "undam_gateway_inter_token_latency_seconds", "histogram",
    "Time between two upstream reads with content.", MODEL_LABELS, GAP_S,
)  # fmt: skip
REQUESTS = _counter(
    "requests",
    "Requests by status sent to the client; 0 if the client disconnected before.",
    "api",
    "status",
)
STREAMS = _gauge("streams_in_flight", "Streams in flight.")
IN_FLIGHT = _gauge("requests_in_flight", "Requests of any kind in flight.")
UPSTREAM_IN_FLIGHT = _gauge("upstream_in_flight", "Requests in flight by upstream.", "upstream")
UPSTREAM_REQUESTS = _counter(
    "upstream_requests",
    "Requests sent to an upstream, as first attempt, retry or hedge.",
    "upstream",
    "why",
)
UPSTREAM_USABLE = _gauge(
    "upstream_usable", "Workers that consider this upstream usable.", "upstream"
)
QUEUED = _gauge("queued", "Requests in the admission queue.")
ENDED = _counter("requests_ended", "Ended requests by reason.", "reason")
HEDGES = _counter("hedges", "Hedges by result: sent, won or lost.", "result")
HEDGES_DENIED = _counter("hedges_denied", "Hedges that were due but not sent, by reason.", "reason")
RETRIES = _counter(
    "retries", "Requests sent to this upstream after a failure of another one.", "upstream"
)
HEARTBEATS = _counter("heartbeats", "Heartbeat comments sent to clients.")
CLIENT_CANCELS = _counter(
    "client_cancels", "Client disconnects before (prefill) or after the first content.", "phase"
)
UPSTREAM_ERRORS = _counter("upstream_errors", "Upstream errors by kind.", "upstream", "kind")
REFUSED = _counter("refused", "Requests refused by the gateway, by status.", "status")
BYTES = _counter("bytes", "Bytes forwarded, by direction.", "direction")
WORKERS = _gauge("workers", "Worker processes of this gateway.")
LOST = _counter("metrics_lost", "Metric updates lost because the table of series is full.")

FAMILIES = (
    TTFT, TPOT, DURATION, GAP, REQUESTS, STREAMS, IN_FLIGHT, UPSTREAM_REQUESTS, UPSTREAM_IN_FLIGHT,
    UPSTREAM_USABLE, QUEUED, ENDED, HEDGES, HEDGES_DENIED, RETRIES, HEARTBEATS, CLIENT_CANCELS,
    UPSTREAM_ERRORS, REFUSED, BYTES, WORKERS, LOST,
)  # fmt: skip
"""All families, in the order of the exposition text."""
