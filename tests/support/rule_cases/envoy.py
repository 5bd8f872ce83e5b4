"""Live rule cases for Envoy. Envoy timeouts take effect up to one second late."""

from __future__ import annotations

from support.proxy_programs import ENVOY, LISTEN_PORT, ORIGIN_PORT
from support.rule_cases.model import (
    COMPLETE,
    LATE_HEAD,
    LONG,
    SILENT,
    Expected,
    LiveDialect,
    RuleCase,
    cut_case,
    held_case,
    verdict,
)

_LONG_SILENCE = (*SILENT, "--stall", "4000")


def _ports(text: str, listen: int, origin: int) -> str:
    text = text.replace(f": {LISTEN_PORT}", f": {listen}")
    return text.replace(f": {ORIGIN_PORT}", f": {origin}")


LIVE = LiveDialect(
    name="envoy",
    letters="ENV",
    program=ENVOY,
    invalid="static_resources: {no_such_field: 1}",
    rejection="no_such_field",
    ports=_ports,
    cases=(
        held_case("ENV101"),
        held_case("ENV102"),
        held_case("ENV103"),
        held_case("ENV104"),
        RuleCase(
            code="ENV105",
            bad=verdict("streaming", content_encoding="gzip"),
            fixed=verdict("streaming", content_encoding=""),
        ),
        RuleCase(
            code="ENV401",
            simulator=("--ttft", "50", "--gap", "100", "--tokens", "175", "--heartbeat", "1"),
            bad=Expected(complete=False, cut_after_s=(14, 17)),
            fixed=COMPLETE,
        ),
        cut_case("ENV402", ("30s", "1s"), simulator=LONG),
        cut_case("ENV403", ("300s", "1s"), simulator=LONG),
        cut_case("ENV404", ("10s", "1s"), simulator=_LONG_SILENCE),
        cut_case(
            "ENV404",
            ("10s", "1s"),
            simulator=(*_LONG_SILENCE, "--heartbeat", "0.5"),
            bad=COMPLETE,
            note="heartbeats",
        ),
        cut_case("ENV405", ("20s", "1s"), simulator=_LONG_SILENCE),
        RuleCase(
            code="ENV406",
            simulator=LATE_HEAD,
            replace=(("3s", "0.3s"),),
            bad=Expected(status=504),
            fixed=COMPLETE,
        ),
    ),
)
