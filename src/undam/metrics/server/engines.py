"""Names of the metrics that model servers publish about their queue, their cache and TTFT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from undam.errors import UsageError

GAUGES = ("running", "waiting", "kv_usage")
COUNTERS = ("cache_hits", "cache_queries")
HISTOGRAMS = ("ttft", "queue_time")
"""Kinds of metrics; a histogram has the suffixes `_sum` and `_count`, in seconds."""


@dataclass(frozen=True, slots=True)
class EngineMetrics:
    """Names of one server's metrics by kind; the names of a kind are alternatives by version."""

    engine: str
    names: Mapping[str, tuple[str, ...]]


ENGINES = (
    EngineMetrics(
        "vllm",
        {
            "running": ("vllm:num_requests_running",),
            "waiting": ("vllm:num_requests_waiting",),
            "kv_usage": ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc"),
            "cache_hits": ("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
            "cache_queries": (
                "vllm:prefix_cache_queries_total",
                "vllm:gpu_prefix_cache_queries_total",
            ),
            "ttft": ("vllm:time_to_first_token_seconds",),
            "queue_time": ("vllm:request_queue_time_seconds",),
        },
    ),
    EngineMetrics(
        "sglang",
        {
            "running": ("sglang:num_running_reqs",),
            "waiting": ("sglang:num_queue_reqs",),
            "kv_usage": ("sglang:token_usage",),
            "cache_hits": ("sglang:cached_tokens_total",),
            "cache_queries": ("sglang:prompt_tokens_total",),
            "ttft": ("sglang:time_to_first_token_seconds",),
            "queue_time": ("sglang:queue_time_seconds",),
        },
    ),
    EngineMetrics(
        "tgi",
        {
            "running": ("tgi_batch_current_size",),
            "waiting": ("tgi_queue_size",),
            "queue_time": ("tgi_request_queue_duration",),
        },
    ),
    EngineMetrics(
        "llama.cpp",
        {
            "running": ("llamacpp:requests_processing",),
            "waiting": ("llamacpp:requests_deferred",),
            "kv_usage": ("llamacpp:kv_cache_usage_ratio",),
        },
    ),
)


def engine_of(totals: Mapping[str, float], mapping: Mapping[str, str]) -> EngineMetrics:
    """Return the engine that publishes these metrics; names in ``mapping`` take precedence.

    Raises:
        UsageError: no metric of a known engine or of ``mapping`` was found.
    """
    known = max(ENGINES, key=lambda engine: _matches(engine, totals))
    if not _matches(known, totals):
        known = EngineMetrics("other", {})
    names = {**known.names, **{kind: (name,) for kind, name in mapping.items()}}
    found = EngineMetrics(known.engine, names)
    if not _matches(found, totals):
        raise UsageError(
            "--server-metrics: no vLLM, SGLang, TGI or llama.cpp metrics were found; name metrics "
            "with --server-metric waiting=NAME"
        )
    return found


def parse_mapping(given: Sequence[str]) -> dict[str, str]:
    """Return the metric name for each kind, parsed from ``KIND=NAME``.

    Raises:
        UsageError: a kind is unknown.
    """
    found = {}
    for one in given:
        kind, equals, name = one.partition("=")
        if not equals or not name or kind not in (*GAUGES, *COUNTERS, *HISTOGRAMS):
            kinds = ", ".join((*GAUGES, *COUNTERS, *HISTOGRAMS))
            raise UsageError(f"--server-metric {one!r}: expected KIND=NAME; KIND is one of {kinds}")
        found[kind] = name
    return found


def _matches(engine: EngineMetrics, totals: Mapping[str, float]) -> int:
    return sum(value_of(engine, kind, totals) is not None for kind in (*GAUGES, *COUNTERS)) + sum(
        value_of(engine, kind, totals, "_count") is not None for kind in HISTOGRAMS
    )


def value_of(
    engine: EngineMetrics, kind: str, totals: Mapping[str, float], suffix: str = ""
) -> float | None:
    """Return the value of a kind of metric, or ``None`` if the server does not publish it."""
    for name in engine.names.get(kind, ()):
        if name + suffix in totals:
            return totals[name + suffix]
    return None
