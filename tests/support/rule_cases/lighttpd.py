"""Live rule cases for lighttpd."""

from __future__ import annotations

from support.proxy_programs import LIGHTTPD
from support.rule_cases.model import (
    HELD_TO_END,
    SILENT,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
)

# Once per second, lighttpd checks whether more than the limit of one second has passed, in whole
# seconds. A cut can therefore take up to three seconds.
_LONG_SILENCE = (*SILENT, "--stall", "4000")


def _ports(text: str, listen: int, origin: int) -> str:
    text = text.replace("server.port = 8080", f"server.port = {listen}")
    return text.replace('"port" => 9000', f'"port" => {origin}')


LIVE = LiveDialect(
    name="lighttpd",
    letters="LTD",
    program=LIGHTTPD,
    invalid="no such thing",
    ports=_ports,
    cases=(
        held_case("LTD101"),
        # Without response streaming, the header makes no difference.
        RuleCase(
            code="LTD201",
            replace=(("    server.stream-response-body = 1\n", ""),),
            bad=HELD_TO_END,
            fixed=HELD_TO_END,
        ),
        cut_case(
            "LTD401",
            ("server.max-write-idle = 10", "server.max-write-idle = 1"),
            simulator=_LONG_SILENCE,
        ),
        cut_case(
            "LTD402", ('"read-timeout" => 10', '"read-timeout" => 1'), simulator=_LONG_SILENCE
        ),
    ),
)
