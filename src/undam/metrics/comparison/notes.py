"""Notes on differences between the conditions of two runs, and on unreliable results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from undam.metrics.comparison.run_input import RunInput

# Settings and host. A difference in any of these may explain different results.
_CONDITIONS = (
    "url", "model", "api", "load", "concurrency", "rate", "arrivals", "workers", "prompts",
    "max_tokens", "prefix_share", "host", "tokens_from", "http_version",
)  # fmt: skip
# Conditions that earlier versions did not report, each with the only value that they supported.
_EARLIER = {"http_version": "1.1"}
# Responses to the same requests vary a little. Beyond this factor, the lengths count as different.
_MAX_LENGTH_RATIO = 1.1


def notes_on(a: RunInput, b: RunInput) -> Iterator[str]:
    """Yield the notes, one line each."""
    noted = set()
    for name in _CONDITIONS:
        ours, theirs = (side.about.get(name, _EARLIER.get(name)) for side in (a, b))
        # A note on the load already shows the concurrency, rate and arrivals.
        if ours != theirs and not (name in {"concurrency", "rate", "arrivals"} and "load" in noted):
            noted.add(name)
            yield f"different {name.replace('_', ' ')}: {_text(ours)} against {_text(theirs)}"
    seeds = [side.about.get("seed") for side in (a, b)]
    if seeds[0] != seeds[1]:
        yield (
            f"different seed: {_text(seeds[0])} against {_text(seeds[1])}, so arrivals and prompts "
            f"differ; with the same --seed the runs vary less"
        )
    streams = [side.about.get("streams") is not False for side in (a, b)]
    if streams[0] != streams[1]:
        document, other = (b, a) if streams[0] else (a, b)
        yield (
            f"{document.name} requested documents and {other.name} streams, so their TTFT has "
            f"different meanings"
        )
    yield from _different_lengths(a, b)
    for side in (a, b):
        yield from _caveats(side)
    for side in (a, b):
        if side.failed:
            yield f"{side.name}: {side.failed} of {side.requests} requests failed"
    clocks = [_get(side.about.get("client"), "clock") for side in (a, b)]
    if clocks[0] != clocks[1]:
        yield f"different clocks: {_text(clocks[0])} against {_text(clocks[1])}"


def _different_lengths(a: RunInput, b: RunInput) -> Iterator[str]:
    """Yield a note if response lengths differ, because E2E time depends on them."""
    each = [
        side.counts["itl"] / answers if (answers := side.requests - side.failed) > 0 else 0.0
        for side in (a, b)
    ]
    if min(each) > 0 and max(each) / min(each) > _MAX_LENGTH_RATIO:
        yield f"responses of different length: {each[0]:.1f} gaps on average against {each[1]:.1f}"


def _caveats(side: RunInput) -> Iterator[str]:
    if side.about.get("interrupted"):
        yield f"{side.name} was interrupted and does not contain the whole load"
    if side.about.get("lost_workers"):
        yield f"{side.name} lost workers and does not contain the whole load"
    found = side.about.get("findings")
    for one in found if isinstance(found, list) else ():
        if str(_get(one, "code")).startswith("UD9"):
            yield f"{side.name} is not reliable: {_get(one, 'message')}"


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _text(value: object) -> str:
    return "unknown" if value is None else str(value)[:200]
