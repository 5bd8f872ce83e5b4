"""Who cuts a silent stream: judged on streams that a beacon kept silent on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from undam.diagnosis.reading import Reading
from undam.record import Ending
from undam.rules import Finding, finding

# Two cuts this close were made by the same limit; Envoy's was seen up to a second late.
_SAME_S = 1.0
_SAME_SHARE = 0.1

# A silence as long as the limit itself is survived or not by a hair.
_RACE_SHARE = 0.95

# The request was not taken (no key, too many at once), which says nothing of silence. 408 is a
# time limit's.
_REFUSED = frozenset(range(400, 500)) - {408}


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

    Raises:
        ValueError: none of them was silent.
    """
    silent = sorted((t for t in trials if t.heartbeat_s is None), key=lambda t: t.silence_s)
    kept = next((t for t in trials if t.heartbeat_s is not None), None)
    if not silent:
        raise ValueError("no silent trial")
    longest = silent[-1]
    survived = max((t.silence_s for t in silent if t.fate is Fate.SURVIVED), default=0.0)
    limits = Limits(
        longest.silence_s,
        heartbeats_save=None if kept is None else _saved(longest, kept),
        heartbeats_arrive=None if kept is None else kept.heartbeats > 0,
    )
    if longest.fate is Fate.SURVIVED:
        return limits  # whatever became of others: this long was possible
    if longest.status in _REFUSED:
        return limits
    if longest.fate is Fate.DROPPED:
        dropped = min(
            t.silence_s for t in silent if t.fate is Fate.DROPPED and t.silence_s > survived
        )
        return replace(limits, drop_between_s=(survived, dropped))
    # Cut sooner than another stream was silent: by chance, or refused, but by no limit.
    idle = longest.lasted_s if longest.lasted_s >= _RACE_SHARE * survived else None
    total = kept.lasted_s if kept is not None and kept.fate is Fate.CUT else None
    if idle is None or total is None:
        return replace(limits, idle_s=idle)
    if _same(idle, total):
        return replace(limits, total_s=total)
    # With heartbeats it ended even sooner than in silence: that was no limit on the whole.
    return replace(limits, idle_s=idle, total_s=total if total > idle else None)


def _saved(silent: Trial, kept: Trial) -> bool | None:
    """Whether heartbeats made the stream outlive the silent one; ``None`` if there was no need."""
    if silent.fate is Fate.SURVIVED:
        return None
    if kept.fate is Fate.SURVIVED:
        return True
    later = kept.lasted_s > silent.lasted_s and not _same(kept.lasted_s, silent.lasted_s)
    return silent.fate is kept.fate is Fate.CUT and later


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= max(_SAME_S, _SAME_SHARE * max(a, b))


def find_limits(hop: str, limits: Limits) -> list[Finding]:
    """What the limits mean for a stream through ``hop``."""
    found: list[Finding] = []
    if limits.idle_s is not None:
        found.append(finding("UD403", hop, limit_s=round(limits.idle_s, 2), saved=_say(limits)))
    if limits.total_s is not None:
        found.append(finding("UD404", hop, limit_s=round(limits.total_s, 2)))
    if limits.drop_between_s is not None:
        survived, dropped = limits.drop_between_s
        evidence = {"silent_s": round(dropped, 2), "survived_s": round(survived, 2)}
        found.append(finding("UD405", hop, evidence, saved=_say(limits)))
    if limits.heartbeats_arrive is False:
        found.append(finding("UD406", hop))
    return found


def _say(limits: Limits) -> str:
    if limits.heartbeats_save is None:
        return "were not tried"
    return "keep it open" if limits.heartbeats_save else "do not help"
