"""Who cuts a silent stream: judged on streams that a beacon kept silent on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from undam.diagnosis.reading import Reading
from undam.findings import Finding, finding
from undam.record import Ending

# Two cuts this close were made by the same limit; Envoy's was seen up to a second late.
_SAME_S = 1.0
_SAME_SHARE = 0.1


class Fate(StrEnum):
    """What became of a silent stream."""

    SURVIVED = "survived"
    CUT = "cut"
    DROPPED = "dropped"
    """Nothing came after the silence, and nothing closed."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One stream: an event, ``silence_s`` without any, then another event and the end.

    Args:
        heartbeat_s: comments this far apart filled the silence; ``None``: true silence.
        status: of the response, ``None`` if there was none.
        lasted_s: from the request to the end of the connection or of our patience.
        heartbeats: comments that arrived during the silence.
    """

    silence_s: float
    heartbeat_s: float | None
    status: int | None
    fate: Fate
    lasted_s: float
    heartbeats: int


@dataclass(frozen=True, slots=True)
class Limits:
    """What the trials say of the path.

    Args:
        idle_s: silence after which the stream is cut.
        total_s: time after which it is cut whatever is sent.
        drop_between_s: the longest silence that was survived and the shortest that was not, where
            a hop forgets the connection without closing it.
        heartbeats_save: whether a stream with heartbeats outlived the silent one.
    """

    tried_s: float
    idle_s: float | None = None
    total_s: float | None = None
    drop_between_s: tuple[float, float] | None = None
    heartbeats_save: bool | None = None
    heartbeats_arrive: bool | None = None


def judge_trial(silence_s: float, heartbeat_s: float | None, reading: Reading) -> Trial:
    """Say what became of one stream."""
    exchange = reading.exchange
    status = exchange.head.status if exchange.head else None
    lasted = (exchange.ended_ns - reading.sent_ns) / 1e9
    if status == 200 and (reading.announced_end or len(reading.contents) > 1):
        fate = Fate.SURVIVED
    elif exchange.ending is Ending.TIMEOUT:
        fate = Fate.DROPPED
    else:
        fate = Fate.CUT
    comments = sum(1 for item in reading.seen if item.meaning is None)
    return Trial(silence_s, heartbeat_s, status, fate, lasted, comments)


def judge_limits(trials: Sequence[Trial]) -> Limits:
    """Tell an idle limit from a total one and from a silent drop.

    Args:
        trials: silent ones of several lengths, and one of the longest with heartbeats.
    """
    silent = sorted((t for t in trials if t.heartbeat_s is None), key=lambda t: t.silence_s)
    kept = next((t for t in trials if t.heartbeat_s is not None), None)
    longest = silent[-1]
    saved = None if kept is None or longest.fate is Fate.SURVIVED else kept.fate is Fate.SURVIVED
    arrive = None if kept is None else kept.heartbeats > 0
    limits = Limits(longest.silence_s, heartbeats_save=saved, heartbeats_arrive=arrive)
    if longest.fate is Fate.DROPPED:
        survived = [t.silence_s for t in silent if t.fate is Fate.SURVIVED]
        dropped = [t.silence_s for t in silent if t.fate is Fate.DROPPED]
        between = (max(survived, default=0.0), min(dropped))
        return replace(limits, drop_between_s=between)
    idle = longest.lasted_s if longest.fate is Fate.CUT else None
    total = kept.lasted_s if kept is not None and kept.fate is Fate.CUT else None
    if idle is not None and total is not None and _same(idle, total):
        idle = None
    return replace(limits, idle_s=idle, total_s=total)


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= max(_SAME_S, _SAME_SHARE * max(a, b))


def find_limits(hop: str, limits: Limits) -> list[Finding]:
    """What the limits mean for a stream through ``hop``."""
    found: list[Finding] = []
    if limits.idle_s is not None:
        saved = "keep it open" if limits.heartbeats_save else "do not help"
        found.append(finding("UD403", hop, limit_s=round(limits.idle_s, 2), saved=saved))
    if limits.total_s is not None:
        found.append(finding("UD404", hop, limit_s=round(limits.total_s, 2)))
    if limits.drop_between_s is not None:
        survived, dropped = limits.drop_between_s
        saved = "keep it open" if limits.heartbeats_save else "do not help"
        found.append(
            finding(
                "UD405", hop, silent_s=round(dropped, 2), survived_s=round(survived, 2), saved=saved
            )
        )
    if limits.heartbeats_arrive is False:
        found.append(finding("UD406", hop))
    return found
