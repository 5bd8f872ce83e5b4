"""Live rule cases for nginx."""

from __future__ import annotations

from support.proxy_programs import NGINX
from support.rule_cases.model import (
    IS_HELD,
    QUICK,
    STREAMS,
    LiveDialect,
    RuleCase,
    cut_case,
    verdict,
)


def _held(code: str, *more: str) -> RuleCase:
    return RuleCase(
        code=code, simulator=(*QUICK, "--tokens", "300", *more), bad=IS_HELD, fixed=STREAMS
    )


LIVE = LiveDialect(
    name="nginx",
    letters="NGX",
    program=NGINX,
    invalid="events {} http { no_such_directive; }",
    rejection="no_such_directive",
    paths=("/", "/v1/", "/v1/chat/completions"),
    cases=(
        _held("NGX101"),
        _held("NGX102", "--framing", "close"),
        _held("NGX103"),
        _held("NGX105", "--header", "X-Accel-Buffering: no"),
        _held("NGX106"),
        RuleCase(
            code="NGX107",
            simulator=("--ttft", "50", "--gap", "40", "--tokens", "40"),
            bad=verdict("late"),
            fixed=STREAMS,
        ),
        _held("NGX108", "--tokens", "100"),
        _held("NGX201"),
        _held("NGX202"),
        _held("NGX204"),
        cut_case("NGX401", ("timeout 20s", "timeout 1s")),
    ),
)
