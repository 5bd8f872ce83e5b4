"""Live rule cases for Caddy."""

from __future__ import annotations

from support.proxy_programs import CADDY
from support.rule_cases.model import (
    COMPLETE,
    HELD_TO_END,
    IS_HELD,
    QUICK,
    SILENT,
    STREAMS,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
)

_LARGE_EVENTS = (*QUICK, "--event-bytes", "700")
_WITH_HEARTBEATS = (*SILENT, "--heartbeat", "0.3")
_PROXY = "/v1/* 127.0.0.1:9000"

LIVE = LiveDialect(
    name="caddy",
    letters="CAD",
    program=CADDY,
    invalid=":8080 {\n    no_such_directive\n}\n",
    rejection="no_such_directive",
    cases=(
        held_case("CAD101"),
        *(
            RuleCase(
                code="CAD102",
                simulator=_LARGE_EVENTS,
                replace=(("encode zstd gzip", f"encode {coding}"),),
                bad=IS_HELD,
                fixed=STREAMS,
                note=coding,
            )
            for coding in ("gzip", "zstd")
        ),
        RuleCase(code="CAD201", bad=STREAMS, fixed=STREAMS),
        # With a response buffer, the header makes no difference.
        RuleCase(
            code="CAD202",
            replace=((f"{_PROXY}\n", f"{_PROXY} {{\n buffer_responses\n}}\n"),),
            bad=HELD_TO_END,
            fixed=HELD_TO_END,
        ),
        cut_case("CAD401", ("read_timeout 10s", "read_timeout 1s")),
        cut_case(
            "CAD401",
            ("read_timeout 10s", "read_timeout 1s"),
            simulator=_WITH_HEARTBEATS,
            bad=COMPLETE,
            note="heartbeats",
        ),
        cut_case("CAD402", ("write 30s", "write 1s"), simulator=_WITH_HEARTBEATS),
    ),
)
