"""OpenTelemetry metrics from a `Timing`, named according to the gen_ai conventions.

The conventions (semantic-conventions, gen-ai-metrics) define client histograms for the duration of
an operation and, for streams, for the time to the first chunk and between chunks. The two server
histograms are recorded as well, from the client's measurements, because some dashboards use only
those. Buckets follow the conventions where these specify them.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from undam.client.timing import Timing
from undam.errors import UsageError

_DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96,
               81.92)  # fmt: skip
_TTFT_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5,
           10.0)  # fmt: skip
_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216,
           67108864)  # fmt: skip


class GenAIMetrics:
    """Histograms for one meter. Create one instance and call `record` for each finished stream.

        metrics = GenAIMetrics()
        with chat(url, "hi", model="m") as answer:
            ...
        metrics.record(answer.timing, model="m")

    Args:
        meter: a meter of opentelemetry.metrics; by default, a meter of the global provider.

    Raises:
        UsageError: ``meter`` is not given and opentelemetry-api is not installed.
    """

    def __init__(self, meter: Any = None) -> None:
        self._meter = meter or _global_meter()
        seconds = {"unit": "s"}
        self._duration = self._histogram(
            "gen_ai.client.operation.duration", _DURATION_S, "GenAI operation duration.", **seconds
        )
        self._first_chunk = self._histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            _DURATION_S,
            "Time to receive the first chunk.",
            **seconds,
        )
        self._chunk = self._histogram(
            "gen_ai.client.operation.time_per_output_chunk",
            _DURATION_S,
            "Time per output chunk after the first.",
            **seconds,
        )
        self._first_token = self._histogram(
            "gen_ai.server.time_to_first_token", _TTFT_S, "Time to the first token.", **seconds
        )
        self._token = self._histogram(
            "gen_ai.server.time_per_output_token",
            _TOKEN_S,
            "Time per output token after the first.",
            **seconds,
        )
        self._usage = self._histogram(
            "gen_ai.client.token.usage", _TOKENS, "Number of tokens used.", unit="{token}"
        )

    def record(
        self,
        timing: Timing,
        *,
        model: str | None = None,
        provider: str = "openai",
        operation: str = "chat",
        error: BaseException | None = None,
        attributes: Mapping[str, str | int] | None = None,
    ) -> None:
        """Record one stream. Values that were not measured, such as a missing TTFT, are omitted.

        Args:
            timing: times of the finished stream.
            model: value of gen_ai.request.model.
            provider: value of gen_ai.provider.name.
            operation: value of gen_ai.operation.name.
            error: exception that ended the stream; its class becomes error.type.
            attributes: additional attributes, such as server.address.
        """
        known: dict[str, str | int] = {
            "gen_ai.operation.name": operation,
            "gen_ai.provider.name": provider,
            **({} if model is None else {"gen_ai.request.model": model}),
            **(attributes or {}),
        }
        failed = {} if error is None else {"error.type": type(error).__qualname__}
        self._duration.record(timing.duration_ms / 1e3, known | failed)
        if timing.ttft_ms is not None:
            self._first_chunk.record(timing.ttft_ms / 1e3, known)
            self._first_token.record(timing.ttft_ms / 1e3, known)
        for gap_ms in timing.gaps_ms:
            self._chunk.record(gap_ms / 1e3, known)
        rate = timing.tokens_per_second
        if rate and error is None:
            self._token.record(1 / rate, known)
        if timing.output_tokens is not None:
            self._usage.record(timing.output_tokens, known | {"gen_ai.token.type": "output"})

    def _histogram(
        self, name: str, buckets: tuple[float, ...], description: str, *, unit: str
    ) -> Any:
        make = self._meter.create_histogram
        try:
            return make(
                name,
                unit=unit,
                description=description,
                explicit_bucket_boundaries_advisory=buckets,
            )
        except TypeError:  # before opentelemetry-api 1.30, only a view can set buckets
            return make(name, unit=unit, description=description)


def _global_meter() -> Any:
    try:
        metrics = import_module("opentelemetry.metrics")
    except ModuleNotFoundError:
        raise UsageError(
            "undam.client.otel requires opentelemetry-api: pip install 'undam[otel]'"
        ) from None
    return metrics.get_meter("undam.client")


def __getattr__(name: str) -> Any:
    if name == "Metrics":
        message = "undam.client.otel.Metrics is deprecated; use undam.client.otel.GenAIMetrics"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return GenAIMetrics
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
