"""What the gateway itself answers, under ``/-/``: its health, its readiness, its metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from undam.gateway.interfaces import LocalResponse, RequestInfo
from undam.gateway.telemetry.metrics import scrape
from undam.gateway.telemetry.shared_memory import SharedMetrics

PREFIX = "/-/"
_TEXT = b"text/plain; charset=utf-8"


class AdminEndpoints:
    """Answers for ``Router.page``.

    Args:
        ready: whether all workers listen and none is draining; otherwise why not.
        shared_metrics: the metrics of all workers; ``None`` where they are off.
        settle: counts what is over and not counted yet.
    """

    def __init__(
        self,
        ready: Callable[[], str],
        shared_metrics: SharedMetrics | None,
        settle: Callable[[], None],
    ) -> None:
        self._ready = ready
        self._shared_metrics = shared_metrics
        self._settle = settle

    def __call__(self, request: RequestInfo) -> LocalResponse | Awaitable[LocalResponse] | None:
        """The page that is asked for; ``None``: the path is not ours."""
        path = request.path
        if not path.startswith(PREFIX):
            return None
        if request.method not in ("GET", "HEAD"):
            return LocalResponse(405, _TEXT, b"only GET and HEAD\n")
        if path == "/-/healthz":
            return LocalResponse(200, _TEXT, b"ok\n")
        if path == "/-/readyz":
            why_not = self._ready()
            return LocalResponse(
                503 if why_not else 200, _TEXT, (why_not or "ready").encode() + b"\n"
            )
        if path == "/-/metrics" and self._shared_metrics is not None:
            return self._metrics(request, self._shared_metrics)
        return LocalResponse(404, _TEXT, b"there are /-/healthz, /-/readyz and /-/metrics\n")

    async def _metrics(self, request: RequestInfo, shared_metrics: SharedMetrics) -> LocalResponse:
        self._settle()
        accept = (request.get(b"accept") or b"").decode("latin-1")
        kind, body = await scrape(shared_metrics.snapshot(), accept)
        return LocalResponse(200, kind.encode("ascii"), body)
