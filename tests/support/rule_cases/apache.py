"""Live rule cases for httpd."""

from __future__ import annotations

from support.proxy_programs import APACHE
from support.rule_cases.model import (
    COMPLETE,
    SILENT,
    STREAMS,
    LiveDialect,
    RuleCase,
    cut_case,
    rule_text,
    verdict,
)

LIVE = LiveDialect(
    name="apache",
    letters="APA",
    program=APACHE,
    invalid=f"{rule_text('APA101', 'good')}NoSuchDirective on\n",
    rejection="NoSuchDirective",
    cases=(
        RuleCase(code="APA102", bad=verdict("batched"), fixed=STREAMS),
        RuleCase(code="APA103", bad=verdict("batched"), fixed=STREAMS),
        RuleCase(code="APA201", bad=STREAMS, fixed=STREAMS),
        cut_case("APA401", ("ProxyTimeout 10", "ProxyTimeout 1"), note="ProxyTimeout"),
        cut_case("APA401", ("ProxyTimeout 10", "Timeout 1"), note="Timeout"),
        cut_case(
            "APA401",
            ("retry=1", "retry=1 timeout=1"),
            ("timeout=1 timeout=3600", "timeout=3600"),
            note="timeout=",
        ),
        cut_case(
            "APA401",
            ("ProxyTimeout 10", "ProxyTimeout 1"),
            simulator=(*SILENT, "--heartbeat", "0.3"),
            bad=COMPLETE,
            note="heartbeats",
        ),
    ),
)
