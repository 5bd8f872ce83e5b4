"""Endpoints of the gateway itself, under ``/-/``: health, readiness and metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from undam.gateway.interfaces import LocalResponse, RequestInfo
from undam.gateway.telemetry.metrics import scrape
from undam.gateway.telemetry.shared_memory import SharedMetrics

PREFIX = "/-/"
_TEXT = b"text/plain; charset=utf-8"


class AdminEndpoints:
    """Handler for requests under ``/-/``.

    Args:
        not_ready: returns why the gateway is not ready; "" if all workers listen and none drains.
        shared_metrics: metrics of all workers; ``None`` if they are turned off.
        flush: counts ended requests whose metrics are still deferred.
    """

    def __init__(
        self,
        *,
        not_ready: Callable[[], str],
        shared_metrics: SharedMetrics | None,
        flush: Callable[[], None],
    ) -> None:
        self._not_ready = not_ready
        self._shared_metrics = shared_metrics
        self._flush = flush

    def __call__(self, request: RequestInfo) -> LocalResponse | Awaitable[LocalResponse] | None:
        """Return the response to a request, or ``None`` if its path is not under ``/-/``."""
        path = request.path
        if not path.startswith(PREFIX):
            return None
        if request.method not in ("GET", "HEAD"):
            return LocalResponse(405, _TEXT, b"only GET and HEAD are allowed\n")
        if path == "/-/healthz":
            return LocalResponse(200, _TEXT, b"ok\n")
        if path == "/-/readyz":
            reason = self._not_ready()
            return LocalResponse(
                503 if reason else 200, _TEXT, (reason or "ready").encode() + b"\n"
            )
        if path == "/-/metrics" and self._shared_metrics is not None:
            return self._metrics(request, self._shared_metrics)
        return LocalResponse(404, _TEXT, b"endpoints: /-/healthz, /-/readyz, /-/metrics\n")

    async def _metrics(self, request: RequestInfo, shared_metrics: SharedMetrics) -> LocalResponse:
        self._flush()
        accept = (request.get(b"accept") or b"").decode("latin-1")
        content_type, body = await scrape(shared_metrics.snapshot(), accept)
        return LocalResponse(200, content_type.encode("ascii"), body)
