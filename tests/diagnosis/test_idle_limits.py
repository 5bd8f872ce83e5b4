"""Idle limits, total limits and silent drops: findings for all combinations of trial results."""

from __future__ import annotations

from itertools import product

import pytest

from support.synthetic_streams import Write, answer, even_schedule, exchange
from undam.diagnosis.findings.limits import (
    PathLimits,
    Trial,
    TrialEnd,
    classify_trial,
    find_limits,
    find_limits_of_path,
)
from undam.diagnosis.reading import read_exchange
from undam.record import Ending, Head

SURVIVED, CUT, DROPPED = TrialEnd.SURVIVED, TrialEnd.CUT, TrialEnd.DROPPED


def _trial(
    silence_s: float, fate: TrialEnd, lasted_s: float | None = None, *, beats: int | None = None
) -> Trial:
    heartbeat = None if beats is None else 1.0
    lasted = silence_s if lasted_s is None else lasted_s
    return Trial(silence_s, heartbeat, 200, fate, lasted, beats or 0)


@pytest.mark.parametrize("fates", list(product(TrialEnd, TrialEnd, (*TrialEnd, None))))
def test_every_combination_of_trial_ends(fates: tuple[TrialEnd, TrialEnd, TrialEnd | None]) -> None:
    short, long, kept = fates
    trials = [_trial(4.0, short, 3.0), _trial(8.0, long, 5.0)]
    if kept is not None:
        trials.append(_trial(8.0, kept, 7.0, beats=3))
    limits = find_limits_of_path(trials)
    found = {one.code for one in find_limits("edge", limits)}
    assert limits.tried_s == 8.0
    assert (limits.idle_s is not None) == (long is CUT)
    assert (limits.drop_between_s is not None) == (long is DROPPED)
    assert (limits.total_s is not None) == (long is CUT and kept is CUT)
    if kept is None or long is SURVIVED:
        assert limits.heartbeats_save is None
    else:
        assert limits.heartbeats_save == (kept is SURVIVED or (kept is CUT and long is CUT))
    assert ("UD403" in found) == (long is CUT)
    assert ("UD404" in found) == (limits.total_s is not None)
    assert ("UD405" in found) == (long is DROPPED)
    if long is SURVIVED:
        assert not found


@pytest.mark.parametrize(("kept_s", "idle", "total"), [
    (15.0, None, 15.0),  # A total limit ended both streams after the same time.
    (16.0, None, 16.0),
    (40.0, 15.2, 40.0),  # There are two limits.
    (3.0, 15.2, None),  # The idle stream lasted longer, so this is not a total limit.
])  # fmt: skip
def test_idle_limit_and_total_limit(kept_s: float, idle: float | None, total: float | None) -> None:
    limits = find_limits_of_path([_trial(60, CUT, 15.2), _trial(60, CUT, kept_s, beats=9)])
    assert (limits.idle_s, limits.total_s) == (idle, total)
    assert limits.heartbeats_save == (kept_s == 40.0)


def test_cut_before_a_survived_silence_is_not_a_limit() -> None:
    limits = find_limits_of_path([_trial(4, SURVIVED), _trial(8, CUT, 0.5)])
    assert limits.idle_s is None
    assert find_limits("edge", limits) == []


def test_silence_as_long_as_the_limit_may_survive() -> None:
    limits = find_limits_of_path([_trial(3, SURVIVED), _trial(6, CUT, 2.998)])
    assert limits.idle_s == 2.998


@pytest.mark.parametrize(
    ("status", "is_limit"), [(429, False), (401, False), (504, True), (408, True)]
)
def test_refused_request_is_not_a_cut(status: int, is_limit: bool) -> None:
    limits = find_limits_of_path([Trial(8, None, status, CUT, 3.0, 0)])
    assert limits.idle_s == (3.0 if is_limit else None)


def test_a_silent_drop_is_bracketed() -> None:
    trials = [_trial(1, SURVIVED), _trial(2, SURVIVED), _trial(4, DROPPED), _trial(8, DROPPED)]
    limits = find_limits_of_path([*trials, _trial(8, SURVIVED, beats=5)])
    assert limits.drop_between_s == (2.0, 4.0)
    (found,) = find_limits("edge", limits)
    assert found.evidence["saved"] == "keep it open"
    # One stream that was dropped by chance after a shorter idle time does not invert the bounds.
    odd = find_limits_of_path([_trial(1, DROPPED), _trial(2, SURVIVED), _trial(8, DROPPED)])
    assert odd.drop_between_s == (2.0, 8.0)


def test_untried_heartbeats_are_not_reported_as_failing() -> None:
    (found,) = find_limits("edge", find_limits_of_path([_trial(8, CUT, 3.0)]))
    assert found.evidence["saved"] == "were not tried"


def test_missing_heartbeats_are_reported() -> None:
    kept = _trial(8, SURVIVED, beats=0)
    found = find_limits("edge", find_limits_of_path([_trial(8, SURVIVED), kept]))
    assert [one.code for one in found] == ["UD406"]


def test_trials_without_a_silent_one_raise() -> None:
    with pytest.raises(ValueError, match="no silent trial"):
        find_limits_of_path([_trial(8, SURVIVED, beats=1)])


def test_trial_end_of_a_stream() -> None:
    def fate(events: int, ending: Ending, *, status: int = 200, whole: bool = False) -> TrialEnd:
        writes = answer(even_schedule(10, events))[: None if whole else -1]
        head = Head(status, "1.1", (("Content-Type", "text/event-stream"),))
        given = exchange([Write(1, b": ping\n"), *writes], head=head, ending=ending)
        trial = classify_trial(3.0, None, read_exchange(given))
        assert (trial.heartbeats, trial.status, trial.silence_s) == (1, status, 3.0)
        return trial.fate

    assert fate(1, Ending.COMPLETE, whole=True) is SURVIVED
    assert fate(2, Ending.TIMEOUT) is SURVIVED
    assert fate(1, Ending.TIMEOUT) is DROPPED
    assert fate(1, Ending.TRUNCATED) is CUT
    assert fate(1, Ending.COMPLETE) is CUT
    assert fate(2, Ending.COMPLETE, status=504) is CUT


def test_a_stream_without_a_head_was_cut() -> None:
    trial = classify_trial(3.0, 1.0, read_exchange(exchange([], head=None, ended_ms=2500)))
    assert (trial.fate, trial.status, trial.lasted_s) == (CUT, None, 2.5)


def test_unknown_limits_have_no_findings() -> None:
    assert find_limits("edge", PathLimits(8.0)) == []
