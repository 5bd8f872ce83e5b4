"""Findings about the validity of a load test: overload and warm caches."""

from __future__ import annotations

from collections.abc import Iterator

from undam.metrics.aggregate import Aggregate
from undam.metrics.validity.asked import RequestedLoad
from undam.metrics.validity.flow import LoadFlow
from undam.rules import Finding, Fix, Severity, finding

# A cached chat template alone can be a tenth of a short prompt.
_CACHED_SHARE = 0.1


def find_validity(aggregate: Aggregate, asked: RequestedLoad, hop: str) -> Iterator[Finding]:
    """Yield the findings about an overload and a warm prefix cache."""
    yield from _find_overload(aggregate, asked, hop)
    yield from _find_cache(aggregate, asked, hop)


def _find_overload(aggregate: Aggregate, asked: RequestedLoad, hop: str) -> Iterator[Finding]:
    flow = LoadFlow(aggregate, asked)
    overload, offered = flow.overload(), flow.offered_per_second
    if overload is None or offered is None:
        return
    served = flow.steady.requests_per_second if flow.steady else 0.0
    yield finding(
        "UD920", hop, offered=_rate(offered), served=_rate(served),
        first=overload.first_in_flight, last=overload.last_in_flight,
        fix=Fix("undam bench", f"--rate {_rate(0.9 * served)}") if served else None,
    )  # fmt: skip


def _find_cache(aggregate: Aggregate, asked: RequestedLoad, hop: str) -> Iterator[Finding]:
    sent = aggregate.requests + aggregate.warmup
    repeated = not asked.unique_prompts and 0 < asked.prompts < sent
    prompt = aggregate.prompt_tokens
    share = aggregate.cached_tokens / prompt if prompt else 0.0
    expected = max(_CACHED_SHARE, asked.prefix_share + _CACHED_SHARE)
    if share > _CACHED_SHARE:
        is_expected = asked.has_history or (share <= expected and not repeated)
        yield finding(
            "UD921", hop, percent=round(100 * share),
            severity=Severity.INFO if is_expected else None,
        )  # fmt: skip
    elif repeated and not prompt:
        yield finding("UD922", hop, prompts=asked.prompts, requests=sent)


def _rate(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
