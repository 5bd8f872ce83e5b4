"""Stored state of the targets. Reports can read it even if no monitor is running."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from undam.monitor.notify import change_json, time_text
from undam.monitor.settings import MonitorTarget
from undam.monitor.store import Store
from undam.secrecy import redact_url

_DAY_S = 86_400


def state_of_targets(
    targets: Iterable[MonitorTarget], store: Store, now_s: float
) -> list[dict[str, Any]]:
    """Return the last probe, the missed objectives and the last change for each target.

    Args:
        now_s: Unix time; objectives are about the 24 hours before it.
    """
    return [_state_of(one, store, now_s) for one in targets]


def _state_of(target: MonitorTarget, store: Store, now_s: float) -> dict[str, Any]:
    last = next(iter(store.probes(target.name, 0.0, 1)), None)
    change = next(iter(store.changes(target.name, 1)), None)
    recent = store.summaries(target.name, now_s - _DAY_S)
    return {
        "target": target.name,
        "url": redact_url(target.options.edge.url.partition("?")[0]),
        "at": None if last is None else time_text(last.at_s),
        "verdict": None if last is None else last.verdict,
        "error": None if last is None else last.error,
        "ttft_ms": None if last is None else last.ttft_ms,
        "hold_ms": {} if last is None else {hop.name: hop.hold_ms for hop in last.hops},
        "findings": [] if last is None else list(last.codes),
        "fixes": [] if last is None else list(last.fixes),
        "missed": [one.text for one in target.objectives if one.is_met(recent) is False],
        "last_change": None if change is None else change_json(change),
    }
