"""Live rule cases for Squid."""

from __future__ import annotations

from support.proxy_programs import SQUID
from support.rule_cases.model import (
    COMPLETE,
    CUT,
    SILENT,
    STREAMS,
    Expected,
    LiveDialect,
    RuleCase,
    cut_case,
)


def _ports(text: str, _listen: int, origin: int) -> str:
    return text.replace("parent 9000", f"parent {origin}")


LIVE = LiveDialect(
    name="squid",
    letters="SQD",
    program=SQUID,
    invalid="no such thing",
    ports=_ports,
    cases=(
        RuleCase(
            code="SQD101",
            simulator=("--ttft", "50", "--gap", "10", "--tokens", "60"),
            bad=Expected(min_hold_ms=100),
            fixed=STREAMS,
        ),
        cut_case("SQD401", ("read_timeout 20 seconds", "read_timeout 1 second")),
        cut_case(
            "SQD402",
            ("client_lifetime 10 minutes", "client_lifetime 2 seconds"),
            simulator=(*SILENT, "--heartbeat", "0.3"),
        ),
        RuleCase(code="SQD403", bad=CUT, fixed=COMPLETE),
    ),
)
