"""What the gateway's metrics are called, as data. Names and buckets are OpenTelemetry's where it
has some (semantic conventions, gen-ai-metrics); the others begin with ``undam_gateway``.

A series is a family's name and one value for each of its labels; its numbers are integers: one
for a counter or a gauge; for a histogram one for each bucket, one for what lies above
the last bound, and the sum, in nanoseconds.
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
# The conventions have no buckets for single gaps: theirs for tokens, and finer ones below, as a
# small model makes a token in less than 10 ms, and coarser ones above, where stalls are.
GAP_S = (0.001, 0.0025, 0.005, *TOKEN_S, 5.0, 10.0, 30.0)


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its kind is ``counter``, ``gauge`` or ``histogram``; ``bounds_s`` are a
    histogram's upper bounds in seconds."""

    name: str
    kind: str
    about: str
    labels: tuple[str, ...] = ()
    bounds_s: tuple[float, ...] = ()

    @property
    def numbers(self) -> int:
        """How many integers a series of it has."""
        return len(self.bounds_s) + 2 if self.kind == "histogram" else 1


def _counter(name: str, about: str, *labels: str) -> Family:
    return Family(f"undam_gateway_{name}", "counter", about, labels)


def _gauge(name: str, about: str, *labels: str) -> Family:
    return Family(f"undam_gateway_{name}", "gauge", about, labels)


TTFT = Family(
    "gen_ai_server_time_to_first_token_seconds", "histogram",
    "From the request to the first content, over all attempts; a role, a comment and an empty"
    " delta are none.", MODEL_LABELS, TTFT_S,
)  # fmt: skip
TPOT = Family(
    "gen_ai_server_time_per_output_token_seconds", "histogram",
    "From the first content event to the last, divided by the events after the first; streams"
    " that came to their end.", MODEL_LABELS, TOKEN_S,
)  # fmt: skip
DURATION = Family(
    "gen_ai_server_request_duration_seconds", "histogram",
    "From the request to the end of the answer.", (*MODEL_LABELS, "error_type"), DURATION_S,
)  # fmt: skip
GAP = Family(
    "undam_gateway_inter_token_latency_seconds", "histogram",
    "Between two reads from the upstream that brought content.", MODEL_LABELS, GAP_S,
)  # fmt: skip
REQUESTS = _counter(
    "requests", "Requests by the status the client got; 0 where it left before.", "api", "status"
)
STREAMS = _gauge("streams_in_flight", "Streams that are being answered now.")
IN_FLIGHT = _gauge("requests_in_flight", "Requests of any kind that are being answered now.")
UPSTREAM_IN_FLIGHT = _gauge("upstream_in_flight", "Requests an upstream is answering.", "upstream")
UPSTREAM_REQUESTS = _counter(
    "upstream_requests", "Requests sent to an upstream: first, retry or hedge.", "upstream", "why"
)
UPSTREAM_USABLE = _gauge(
    "upstream_usable", "Workers that would send a request to this upstream.", "upstream"
)
QUEUED = _gauge("queued", "Requests that wait for their turn.")
ENDED = _counter("requests_ended", "Requests by why they ended.", "reason")
HEDGES = _counter("hedges", "Second requests sent, and what became of them.", "result")
HEDGES_DENIED = _counter("hedges_denied", "Second requests due but not sent.", "reason")
RETRIES = _counter("retries", "Requests sent to another upstream after a failure.", "upstream")
HEARTBEATS = _counter("heartbeats", "Comments sent into silent streams.")
CLIENT_CANCELS = _counter(
    "client_cancels", "Clients that left: before the first content, or after it.", "phase"
)
UPSTREAM_ERRORS = _counter("upstream_errors", "What upstreams did wrong.", "upstream", "kind")
REFUSED = _counter("refused", "Requests the gateway itself refused, by the status.", "status")
BYTES = _counter("bytes", "Bytes of bodies passed on.", "direction")
WORKERS = _gauge("workers", "Worker processes of this gateway.")
LOST = _counter("metrics_lost", "Numbers that found no room in the table of series.")

FAMILIES = (
    TTFT, TPOT, DURATION, GAP, REQUESTS, STREAMS, IN_FLIGHT, UPSTREAM_REQUESTS, UPSTREAM_IN_FLIGHT,
    UPSTREAM_USABLE, QUEUED, ENDED, HEDGES, HEDGES_DENIED, RETRIES, HEARTBEATS, CLIENT_CANCELS,
    UPSTREAM_ERRORS, REFUSED, BYTES, WORKERS, LOST,
)  # fmt: skip
"""All of them, in the order in which a scrape shows them."""
