"""Options of `undam bench` as one typed object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from undam.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """Command-line options, with the names and types that click passes.

    ``None`` means that the option is not given. Defaults that depend on other options are applied
    in `arguments`.

    Args:
        duration, ramp, timeout: in seconds.
        slo: texts of the objectives.
        prompts, record, hlog, html: paths of files.
        prompt_words, think_time, cancel_after: a number or a distribution.
        data, headers, method, http_version, cacert, cert, resolve, insecure: as in `undam check`.
    """

    concurrency: int | None = None
    rate: float | None = None
    rate_end: float | None = None
    max_concurrency: int | None = None
    arrivals: Literal["poisson", "constant", "gamma"] | None = None
    burstiness: float | None = None
    requests: int | None = None
    duration: float | None = None
    warmup: int | None = None
    ramp: float | None = None
    sweep: str | None = None
    find_max: bool = False
    slo: tuple[str, ...] = ()
    workers: int = 1
    ray: str | None = None
    seed: int = 0
    model: str | None = None
    prompts: str | None = None
    prompt_words: str | None = None
    prefix_share: float | None = None
    max_tokens: int | None = None
    body: tuple[str, ...] = ()
    models: str | None = None
    no_stream: bool = False
    think_time: str | None = None
    cancel_share: float | None = None
    cancel_after: str | None = None
    headers: tuple[str, ...] = ()
    data: str | None = None
    method: str | None = None
    content_path: str | None = None
    timeout: float = 120.0
    http_version: str | None = None
    streams_per_connection: int | None = None
    cacert: str | None = None
    cert: str | None = None
    resolve: tuple[str, ...] = ()
    insecure: bool = False
    record: str | None = None
    server_metrics: str | None = None
    server_metric: tuple[str, ...] = ()
    hlog: str | None = None
    csv: str | None = None
    html: str | None = None

    def is_set(self, name: str) -> bool:
        """Return whether the user set the option that has this field name."""
        return getattr(self, name) not in (None, False, ())

    @property
    def is_open_loop(self) -> bool:
        """Return whether an option requests an open loop; a trace in --prompts does not count."""
        if self.find_max:
            return self.concurrency is None
        return self.rate is not None or "/s" in (self.sweep or "")

    def require_consistent(self) -> None:
        """Reject options that cannot be combined.

        Raises:
            UsageError: names the options, and what to do.
        """
        for first, second in _EXCLUSIVE:
            if self.is_set(first) and self.is_set(second):
                raise UsageError(f"use either {_flag(first)} or {_flag(second)}, not both")
        if self.find_max and not self.slo:
            raise UsageError("--find-max needs an objective: add --slo 'ttft_p99<500ms'")
        if self.arrivals is not None and not self.is_open_loop:
            raise UsageError("--arrivals applies only to an open loop: add --rate R")
        for name in ("rate_end", "max_concurrency"):
            if self.is_set(name) and (self.rate is None or self.find_max):
                raise UsageError(f"{_flag(name)} applies only to an open loop: add --rate R")
        if self.rate_end is not None and self.duration is None:
            raise UsageError("--rate-end needs --duration S, the time in which the rate changes")
        if self.burstiness is not None and self.arrivals != "gamma":
            raise UsageError("--burstiness applies only to --arrivals gamma")
        if self.streams_per_connection is not None and self.http_version == "1.1":
            raise UsageError("--streams-per-connection applies only to HTTP/2: remove --http1")
        self._require_users()
        if self.server_metric and self.server_metrics is None:
            raise UsageError("--server-metric needs --server-metrics URL")
        if self.ramp is not None and self.is_open_loop:
            raise UsageError("--ramp applies only to a closed loop, and these options define an "
                             "open loop")  # fmt: skip

    def _require_users(self) -> None:
        """Reject --think-time in an open loop, and --cancel-after without --cancel-share."""
        if self.think_time is not None and self.is_open_loop:
            raise UsageError("--think-time applies only to a closed loop: add -c N")
        if self.cancel_after is not None and self.cancel_share is None:
            raise UsageError("--cancel-after needs --cancel-share P")


_EXCLUSIVE = (
    ("concurrency", "rate"),
    ("requests", "duration"),
    ("sweep", "find_max"),
    ("sweep", "concurrency"),
    ("sweep", "rate"),
    *(("data", name) for name in ("prompts", "prompt_words", "max_tokens", "prefix_share")),
    *(("data", name) for name in ("body", "models")),
    ("model", "models"),
    *(("prompts", name) for name in ("prompt_words", "prefix_share")),
    *((several, name) for several in ("sweep", "find_max") for name in ("hlog", "csv")),
)


def _flag(name: str) -> str:
    short = {"concurrency": "-c", "requests": "-n"}
    return short.get(name) or f"--{name.replace('_', '-')}"
