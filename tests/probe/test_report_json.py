"""JSON reports of a check always have the documented field names and types."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from support.check_reports import hop, report
from support.synthetic_streams import block_buffer, exchange, hold_to_end
from undam.diagnosis.findings.disconnect import Disconnect
from undam.diagnosis.findings.limits import PathLimits
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.probe import Report, report_json
from undam.record import Ending

VERDICTS = {"streaming", "batched", "late", "held-to-end", "unknown"}
NUMBER = (int, float)
MAYBE = (int, float, type(None))

# Type of each field that other programs rely on.
TOP = {
    "schema": int, "command": str, "verdict": str, "hops": list, "findings": list, "clock": dict,
}  # fmt: skip
HOP = {
    "name": str, "url": str, "verdict": str, "http_version": (str, type(None)),
    "headers_ms": MAYBE, "ttft_ms": MAYBE, "hold_ms": (dict, type(None)), "events": int,
    "reads": int, "events_per_read": dict, "release_bytes": (int, type(None)),
    "intermediaries": list, "complete": (bool, type(None)), "cut_after_s": MAYBE,
}  # fmt: skip
HOLD = {"first": NUMBER, "p50": NUMBER, "p99": NUMBER, "max": NUMBER}
FINDING = {
    "code": str, "slug": str, "severity": str, "hop": str, "message": str, "evidence": dict,
    "fix": (dict, type(None)),
}  # fmt: skip
CLOCK = {"source": str, "late_ms_p99": NUMBER, "coalesced_reads": int}


def assert_has(value: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, kind in wanted.items():
        assert name in value, name
        assert isinstance(value[name], kind), (name, value[name])
        assert kind is int or not isinstance(value[name], bool) or bool in kind, name


def parsed(made: Report) -> dict[str, Any]:
    """Return the report after a round trip through JSON."""
    read = json.loads(json.dumps(report_json(made)))
    assert isinstance(read, dict)
    return read


def silent() -> Report:
    """Return a report on a hop that sent no response head."""
    reading = read_exchange(exchange([], head=None, ending=Ending.TIMEOUT, ended_ms=2000))
    return report(analyze_hop([reading]))


def nested() -> Report:
    model = hop("model")
    middle = hop("middle", block_buffer(4096), server="nginx", inner=model)
    return report(hop("edge", hold_to_end(), inner=middle), middle, model)


def beaconed() -> Report:
    offset = ClockOffset(1000, 50_000, 200_000)
    made = report(hop(model=block_buffer(4096), offset=offset), offset=offset)
    return replace(
        made,
        limits=PathLimits(3.0, idle_s=2.5, heartbeats_save=True),
        disconnects=(Disconnect("in silence", None, 4000),),
    )


@pytest.mark.parametrize("made", [silent, nested, beaconed, lambda: report(hop())])
def test_every_contract_field_is_present(made: Any) -> None:
    done: Report = made()
    told = parsed(done)
    assert_has(told, TOP)
    assert (told["schema"], told["command"]) == (1, "check")
    assert told["verdict"] in VERDICTS
    assert told["verdict"] == told["hops"][0]["verdict"]
    assert [one["name"] for one in told["hops"]] == [one.name for one in done.hops]
    for one in told["hops"]:
        assert_has(one, HOP)
        assert one["verdict"] in VERDICTS
        assert set(one["events_per_read"]) == {"p50", "max"}
        if one["hold_ms"] is not None:
            assert_has(one["hold_ms"], HOLD)
    for found in told["findings"]:
        assert_has(found, FINDING)
        assert found["severity"] in {"error", "warning", "info"}
        if found["fix"] is not None:
            assert_has(found["fix"], {"where": str, "text": str})
    assert_has(told["clock"], CLOCK)
    assert told["clock"]["source"] in {"kernel", "user"}


def test_hold_is_null_without_beacon_or_inner_hop() -> None:
    edge, middle, model = parsed(nested())["hops"]
    assert model["hold_ms"] is None
    assert middle["hold_ms"]["p99"] > 100
    assert edge["hold_ms"] is not None
    (exact,) = parsed(beaconed())["hops"]
    assert exact["hold_ms"]["p99"] > 100
    assert exact["hold_is_exact"] is True


def test_optional_parts_are_added_on_request() -> None:
    told = parsed(beaconed())
    assert told["limits"]["idle_s"] == 2.5
    assert told["cancel"] == [{"when": "in silence", "seen_after_ms": None}]
    assert told["beacon"]["uncertainty_ms"] == 0.05
    assert not {"limits", "cancel", "beacon"} & set(parsed(nested()))


def test_one_read_without_a_kernel_stamp_makes_the_clock_user() -> None:
    done = report(hop())
    assert parsed(done)["clock"]["source"] == "kernel"
    (one,) = done.exchanges
    mixed = replace(done, exchanges=(one, replace(one, clock="user")))
    assert parsed(mixed)["clock"]["source"] == "user"


def test_repr_of_a_report_omits_the_bodies() -> None:
    """asyncio may format a finished task's result; formatting the bodies would take seconds."""
    assert len(repr(report(hop()))) < 200


@pytest.mark.parametrize(
    ("made", "clean"), [(lambda: report(hop()), True), (nested, False), (silent, False)]
)
def test_report_is_clean_without_errors_and_warnings(made: Any, clean: bool) -> None:
    assert made().is_clean is clean
