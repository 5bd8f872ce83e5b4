"""Scraper for a server's Prometheus metrics during a run, in a thread of the coordinator."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from undam.errors import NetworkError, UsageError
from undam.metrics.server.engines import EngineMetrics, engine_of
from undam.metrics.server.prometheus_text import MAX_TEXT_BYTES, parse_totals
from undam.metrics.server.timeline import ServerSample, ServerTimeline

_INTERVAL_S = 0.5
_TIMEOUT_S = 5.0


class ServerMetrics:
    """Scraper that reads a server's metrics twice per second inside the ``with`` block.

    Args:
        url: address of the metrics; without a path it means `/metrics`.
        mapping: names of metrics by kind, for servers that are not known.

    Raises:
        UsageError: the URL is invalid, or no metric is known.
        NetworkError: the metrics cannot be read.
    """

    def __init__(self, url: str, mapping: Mapping[str, str]) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise UsageError("--server-metrics: expected http://HOST:PORT or the URL of /metrics")
        self._url = url if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}/metrics"
        # Ignore the proxy settings in the environment, as the requests of the load test do.
        self._open = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
        self._over = threading.Event()
        self._samples: list[ServerSample] = []
        self._thread = threading.Thread(target=self._scrape_until_over, daemon=True)
        self.failed = 0
        sample = self._scrape()
        self._engine: EngineMetrics = engine_of(sample.totals, mapping)

    def __enter__(self) -> Self:
        self._samples.append(self._scrape())
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join(2 * _TIMEOUT_S)

    @property
    def timeline(self) -> ServerTimeline:
        """Samples that have been collected so far."""
        return ServerTimeline(self._engine, self._samples)

    def _scrape_until_over(self) -> None:
        while not self._over.wait(_INTERVAL_S):
            self._try_scrape()
        # The server counts the last requests only after they have ended, so scrape once more.
        self._try_scrape()

    def _try_scrape(self) -> None:
        try:
            self._samples.append(self._scrape())
        except NetworkError:
            self.failed += 1

    def _scrape(self) -> ServerSample:
        try:
            with self._open(self._url, timeout=_TIMEOUT_S) as response:
                text = response.read(MAX_TEXT_BYTES).decode("utf-8", "replace")
        except (OSError, ValueError, urllib.error.URLError) as error:
            reason = getattr(error, "reason", None) or error
            message = f"--server-metrics: the metrics cannot be read: {reason}"
            raise NetworkError(message, phase="connect") from None
        return ServerSample(time.time_ns(), parse_totals(text))
