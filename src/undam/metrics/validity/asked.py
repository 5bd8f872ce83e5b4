"""Requested load of a load test, with the properties that affect the test's validity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestedLoad:
    """Requested load, as stated in the conditions of a run.

    Args:
        concurrency: number of slots of a closed loop; ``None`` for an open loop.
        is_open: whether requests start regardless of earlier responses.
        max_concurrency: maximum number of requests of an open loop in flight; others wait in the
            load generator.
        prompts: number of different request bodies; 0 if it is unknown.
        unique_prompts: whether each request has a prompt that no other request has.
        prefix_share: share of each prompt that all requests have in common.
        has_history: whether requests repeat earlier turns of their conversation.
        has_pauses: whether the slots of a closed loop pause between their requests.
        streams: whether responses are streams; otherwise each is one document.
    """

    concurrency: int | None = None
    is_open: bool = False
    max_concurrency: int | None = None
    prompts: int = 0
    unique_prompts: bool = False
    prefix_share: float = 0.0
    has_history: bool = False
    has_pauses: bool = False
    streams: bool = True


def requested_load(about: Mapping[str, object]) -> RequestedLoad:
    """Return the requested load, from the conditions of a run; unknown values are ignored."""
    share = about.get("prefix_share")
    return RequestedLoad(
        concurrency=_positive(about.get("concurrency")),
        is_open=about.get("arrivals") is not None,
        max_concurrency=_positive(about.get("concurrency_limit")),
        prompts=_positive(about.get("prompts")) or 0,
        unique_prompts=about.get("unique_prompts") is True,
        prefix_share=float(share) if type(share) in {int, float} else 0.0,  # type: ignore[arg-type]
        has_history=about.get("has_history") is True,
        has_pauses=about.get("has_pauses") is True,
        streams=about.get("streams") is not False,
    )


def _positive(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None
