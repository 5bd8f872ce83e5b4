"""What makes two runs differ beforehand, and what in them is not to be trusted, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from undam.metrics.comparison.run_input import RunInput

# What was asked for, or by whom: a difference in the figures may be one of these.
_CONDITIONS = (
    "url", "model", "api", "load", "concurrency", "rate", "arrivals", "workers", "prompts",
    "max_tokens", "host", "tokens_from",
)  # fmt: skip
# Those of two runs with the same settings differ a little; these differ by what came back.
_UNLIKE_EVENTS = 1.1


def notes_on(a: RunInput, b: RunInput) -> Iterator[str]:
    """One line each."""
    told = set()
    for name in _CONDITIONS:
        ours, theirs = a.about.get(name), b.about.get(name)
        # A load in words names its parts; they need no lines of their own.
        if ours != theirs and not (name in {"concurrency", "rate", "arrivals"} and "load" in told):
            told.add(name)
            yield f"different {name.replace('_', ' ')}: {_words(ours)} against {_words(theirs)}"
    yield from _unlike_answers(a, b)
    for side in (a, b):
        yield from _doubts(side)
    for side in (a, b):
        if side.failed:
            yield f"{side.name}: {side.failed} of {side.requests} requests failed or broke off"
    clocks = [_of(side.about.get("client"), "clock") for side in (a, b)]
    if clocks[0] != clocks[1]:
        yield f"different clocks: {_words(clocks[0])} against {_words(clocks[1])}"


def _unlike_answers(a: RunInput, b: RunInput) -> Iterator[str]:
    """Answers of another length make another E2E, which is no speed."""
    each = [
        side.counts["itl"] / answers if (answers := side.requests - side.failed) > 0 else 0.0
        for side in (a, b)
    ]
    if min(each) > 0 and max(each) / min(each) > _UNLIKE_EVENTS:
        yield f"answers of different length: {each[0]:.1f} gaps on average against {each[1]:.1f}"


def _doubts(side: RunInput) -> Iterator[str]:
    if side.about.get("interrupted"):
        yield f"{side.name} was interrupted, and is not the whole load"
    if side.about.get("lost_workers"):
        yield f"{side.name} lost workers, and is not the whole load"
    found = side.about.get("findings")
    for one in found if isinstance(found, list) else ():
        if str(_of(one, "code")).startswith("UD9"):
            yield f"{side.name} is in doubt: {_of(one, 'message')}"


def _of(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None


def _words(value: object) -> str:
    return "not told" if value is None else str(value)[:200]
