"""Live rule cases for HAProxy."""

from __future__ import annotations

from support.proxy_programs import HAPROXY
from support.rule_cases.model import (
    COMPLETE,
    SLOW,
    STREAMS,
    Expected,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
    verdict,
)

LIVE = LiveDialect(
    name="haproxy",
    letters="HAP",
    program=HAPROXY,
    invalid="no such thing",
    cases=(
        RuleCase(
            code="HAP101",
            # Five bursts of equal size could be either full blocks or the periods of a timer.
            simulator=("--ttft", "50", "--gap", "10", "--tokens", "250"),
            bad=verdict("batched", finding="UD103"),
            fixed=STREAMS,
        ),
        RuleCase(code="HAP102", simulator=SLOW, bad=verdict("late"), fixed=STREAMS),
        RuleCase(code="HAP103", simulator=SLOW, bad=verdict("late"), fixed=STREAMS),
        held_case("HAP104", SLOW),
        RuleCase(
            code="HAP104",
            simulator=SLOW,
            replace=(("time 10s", "time 300ms"),),
            bad=Expected(status=504),
            fixed=COMPLETE,
            note="short-time",
        ),
        cut_case("HAP201", ("timeout server 50s", "timeout server 1s")),
        cut_case("HAP401", ("timeout server 10s", "timeout server 1s")),
    ),
)
