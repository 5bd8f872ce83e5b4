"""Live rule cases for Varnish."""

from __future__ import annotations

from support.proxy_programs import VARNISH
from support.rule_cases.model import (
    COMPLETE,
    LATE_HEAD,
    Expected,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
)

_BACKEND = '.host = "127.0.0.1:9000";'

LIVE = LiveDialect(
    name="varnish",
    letters="VRN",
    program=VARNISH,
    invalid="no such thing",
    cases=(
        held_case("VRN101"),
        held_case("VRN102"),
        held_case("VRN103"),
        cut_case("VRN201", (_BACKEND, f"{_BACKEND} .between_bytes_timeout = 1s;")),
        cut_case("VRN401", ("timeout = 20s", "timeout = 1s")),
        RuleCase(
            code="VRN402",
            simulator=LATE_HEAD,
            replace=(("timeout = 20s", "timeout = 1s"),),
            bad=Expected(status=503),
            fixed=COMPLETE,
        ),
    ),
)
