"""Findings about idle limits, total limits and silent drops, from streams that pause on purpose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from undam.diagnosis.reading import Reading
from undam.record import Ending
from undam.rules import Finding, finding

# Two cuts that are this close together come from the same limit. Envoy was measured to cut up to a
# second late.
_SAME_S = 1.0
_SAME_SHARE = 0.1

# It depends on chance whether a pause that is about as long as the limit survives.
_RACE_SHARE = 0.95

# A refused request (no key, too many at once) proves nothing about idle limits. 408 is excluded
# because it is the status of a time limit.
_REFUSED = frozenset(range(400, 500)) - {408}


class TrialEnd(StrEnum):
    """Outcome of a trial stream that pauses."""

    SURVIVED = "survived"
    CUT = "cut"
    DROPPED = "dropped"
    """No data arrived after the silence, and the connection stayed open."""


@dataclass(frozen=True, slots=True)
class Trial:
    """Trial stream: an event, a pause of ``silence_s``, another event, and the end.

    Args:
        heartbeat_s: interval of the comments that filled the silence; ``None`` for true silence.
        status: status of the response; ``None`` without a response.
        lasted_s: time from the request to the end of the connection or to our timeout.
        heartbeats: number of comments that arrived during the silence.
    """

    silence_s: float
    heartbeat_s: float | None
    status: int | None
    fate: TrialEnd
    lasted_s: float
    heartbeats: int


@dataclass(frozen=True, slots=True)
class PathLimits:
    """Limits of a path, derived from trials.

    Args:
        idle_s: silence after which the stream is cut.
        total_s: time after which the stream is cut even if it is active.
        drop_between_s: longest silence that survived and shortest that did not, if a hop drops the
            connection without closing it.
        heartbeats_save: whether a stream with heartbeats outlived the silent one.
    """

    tried_s: float
    idle_s: float | None = None
    total_s: float | None = None
    drop_between_s: tuple[float, float] | None = None
    heartbeats_save: bool | None = None
    heartbeats_arrive: bool | None = None


def classify_trial(silence_s: float, heartbeat_s: float | None, reading: Reading) -> Trial:
    """Determine the outcome of one trial stream."""
    exchange = reading.exchange
    status = exchange.head.status if exchange.head else None
    lasted = (exchange.ended_ns - reading.sent_ns) / 1e9
    if status == 200 and (reading.announced_end or len(reading.contents) > 1):
        fate = TrialEnd.SURVIVED
    elif exchange.ending is Ending.TIMEOUT:
        fate = TrialEnd.DROPPED
    else:
        fate = TrialEnd.CUT
    comments = sum(1 for item in reading.items if item.meaning is None)
    return Trial(silence_s, heartbeat_s, status, fate, lasted, comments)


def find_limits_of_path(trials: Sequence[Trial]) -> PathLimits:
    """Return the limits that the trials prove: idle limit, total limit and silent drop.

    Args:
        trials: silent streams of several lengths, and one of the longest length with heartbeats.

    Raises:
        ValueError: there is no silent trial.
    """
    silent = sorted((t for t in trials if t.heartbeat_s is None), key=lambda t: t.silence_s)
    kept = next((t for t in trials if t.heartbeat_s is not None), None)
    if not silent:
        raise ValueError("no silent trial")
    longest = silent[-1]
    survived = max((t.silence_s for t in silent if t.fate is TrialEnd.SURVIVED), default=0.0)
    limits = PathLimits(
        longest.silence_s,
        heartbeats_save=None if kept is None else _saved(longest, kept),
        heartbeats_arrive=None if kept is None else kept.heartbeats > 0,
    )
    if longest.fate is TrialEnd.SURVIVED:
        return limits  # The stream survived its longest pause, so no idle timeout is shorter.
    if longest.status in _REFUSED:
        return limits
    if longest.fate is TrialEnd.DROPPED:
        dropped = min(
            t.silence_s for t in silent if t.fate is TrialEnd.DROPPED and t.silence_s > survived
        )
        return replace(limits, drop_between_s=(survived, dropped))
    # Another stream survived a longer pause, so the cause of this cut was chance or a refusal, not
    # a limit.
    idle = longest.lasted_s if longest.lasted_s >= _RACE_SHARE * survived else None
    total = kept.lasted_s if kept is not None and kept.fate is TrialEnd.CUT else None
    if idle is None or total is None:
        return replace(limits, idle_s=idle)
    if _same(idle, total):
        return replace(limits, total_s=total)
    # If the stream with heartbeats ended sooner than the one without, there is no total limit.
    return replace(limits, idle_s=idle, total_s=total if total > idle else None)


def _saved(silent: Trial, kept: Trial) -> bool | None:
    """Return whether heartbeats prevented the cut; ``None`` if no stream was cut."""
    if silent.fate is TrialEnd.SURVIVED:
        return None
    if kept.fate is TrialEnd.SURVIVED:
        return True
    later = kept.lasted_s > silent.lasted_s and not _same(kept.lasted_s, silent.lasted_s)
    return silent.fate is kept.fate is TrialEnd.CUT and later


def _same(a: float, b: float) -> bool:
    return abs(a - b) <= max(_SAME_S, _SAME_SHARE * max(a, b))


def find_limits(hop: str, limits: PathLimits) -> list[Finding]:
    """Return the findings about the limits of ``hop``."""
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


def _say(limits: PathLimits) -> str:
    if limits.heartbeats_save is None:
        return "were not tried"
    return "keep it open" if limits.heartbeats_save else "do not help"
