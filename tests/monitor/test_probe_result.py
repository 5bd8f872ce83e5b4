"""Differences between probes: which count as a change, and which as noise."""

from __future__ import annotations

from dataclasses import replace

from undam.monitor.probe_result import HopState, ProbeResult, differences, failure_of, result_of

STREAMS = HopState("edge", "streaming", server="openresty", headers=("x-accel-buffering: no",))
BLOCKS = replace(STREAMS, verdict="batched", release="size", release_bytes=4096, server="nginx",
                 headers=())  # fmt: skip


def probe(*hops: HopState, at_s: float = 0.0) -> ProbeResult:
    return ProbeResult("chat", at_s, hops[0].verdict, hops, is_complete=True, ttft_ms=200.0)


def test_a_hold_is_a_change_with_what_the_head_shows() -> None:
    assert differences(probe(STREAMS), probe(BLOCKS)) == [
        "edge sends blocks of 4096 bytes; before: streams",
        "the Server header of edge went from openresty to nginx",
        "edge no longer sends x-accel-buffering: no",
    ]


def test_recovery_is_a_change() -> None:
    (first, *_) = differences(probe(BLOCKS), probe(STREAMS))
    assert first == "edge streams; before: sends blocks of 4096 bytes"


def test_equal_probes_and_slightly_different_blocks_are_no_change() -> None:
    assert differences(probe(STREAMS), probe(STREAMS)) == []
    assert differences(probe(BLOCKS), probe(replace(BLOCKS, release_bytes=4100))) == []


def test_another_block_size_and_another_period_are_changes() -> None:
    assert differences(probe(BLOCKS), probe(replace(BLOCKS, release_bytes=8192)))
    timer = HopState("edge", "batched", "timer", period_ms=100.0)
    assert differences(probe(timer), probe(replace(timer, period_ms=300.0))) == [
        "edge sends events every 300 ms; before: sends events every 100 ms"
    ]


def test_events_that_begin_to_be_lost_are_a_change() -> None:
    loses = replace(STREAMS, faults=(("lost", 12),))
    assert differences(probe(STREAMS), probe(loses)) == [
        "events at edge: 12 lost; before: all as they were sent"
    ]
    assert differences(probe(loses), probe(replace(loses, faults=(("lost", 7),)))) == []
    (recovered,) = differences(probe(loses), probe(STREAMS))
    assert recovered == "events at edge: all as they were sent; before: 12 lost"


def test_a_stream_that_begins_to_end_early_is_a_change() -> None:
    whole, cut = probe(STREAMS), replace(probe(STREAMS), is_complete=False)
    assert differences(whole, cut) == ["the stream ends early; before: it was complete"]
    assert differences(cut, whole) == ["the stream is complete again"]
    assert differences(cut, cut) == []


def test_an_inconclusive_probe_changes_nothing() -> None:
    unknown = probe(replace(STREAMS, verdict="unknown"))
    assert differences(probe(BLOCKS), unknown) == []
    assert differences(unknown, probe(BLOCKS)) == []


def test_a_refusal_changes_nothing_and_a_failure_does() -> None:
    refused = failure_of("chat", 1.0, "http://h/ answered 429 Too Many Requests")
    assert (refused.status, differences(probe(STREAMS), refused)) == (429, [])
    down = failure_of("chat", 1.0, "http://h/: connection refused")
    assert differences(probe(STREAMS), down) == [
        "no stream any more: http://h/: connection refused"
    ]
    assert differences(down, probe(STREAMS)) == [
        "streams again (streaming); before: http://h/: connection refused"
    ]
    assert differences(down, down) == []


def test_each_hop_is_compared_by_its_name() -> None:
    inner = HopState("model", "streaming")
    changes = differences(probe(STREAMS, inner), probe(BLOCKS, inner))
    assert all("model" not in one for one in changes)


def test_further_facts_of_the_head_are_part_of_a_change() -> None:
    before = replace(STREAMS, http_version="1.1")
    after = HopState("edge", "late", server="openresty", http_version="2",
                     intermediaries=("nginx",), headers=("cache-control: no-cache",))  # fmt: skip
    text = differences(probe(before), probe(after))
    assert "edge now sends cache-control: no-cache" in text
    assert "the intermediaries at edge went from none to nginx" in text
    assert "edge went from HTTP/1.1 to HTTP/2" in text
    unknown = replace(after, http_version=None)
    assert not any("HTTP/" in one for one in differences(probe(before), probe(unknown)))


def test_a_report_is_reduced_to_its_state() -> None:
    row = {
        "verdict": "batched",
        "hops": [{"name": "edge", "verdict": "batched", "release": "size", "release_bytes": 4096,
                  "hold_ms": {"p99": 380.0}, "ttft_ms": 520.0, "events": 120, "complete": True,
                  "intermediaries": ["nginx"], "server": "nginx"}],
        "findings": [{"code": "UD102", "severity": "error"}, {"code": "UD105", "severity": "info"}],
    }  # fmt: skip
    for limits, cut_s in (
        ({"tried_s": 60, "idle_s": 30.0, "drop_between_s": None}, 30.0),
        ({"tried_s": 60, "idle_s": None, "drop_between_s": (15.0, 30.0)}, 30.0),
        ({"tried_s": 60, "idle_s": None, "drop_between_s": None}, None),
    ):
        tried = result_of("chat", 5.0, {**row, "limits": limits})
        assert (tried.idle_tried_s, tried.idle_cut_s) == (60, cut_s)
    result = result_of("chat", 5.0, row)
    assert (result.ttft_ms, result.hold_ms, result.codes) == (520.0, 380.0, ("UD102",))
    assert (result.hops[0].release_bytes, result.is_complete, result.events) == (4096, True, 120)
