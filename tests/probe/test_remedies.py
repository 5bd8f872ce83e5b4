"""Each finding gets the fix for a recognised hop, or for a hop with similar behaviour."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from support.check_reports import hop, report
from support.synthetic_streams import (
    MS,
    SSE_HEAD,
    START_NS,
    HopModel,
    Write,
    answer,
    block_buffer,
    chat_event,
    exchange,
    hold_to_end,
    pass_through,
    timed_flush,
)
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.shape import Release
from undam.intermediaries import Trouble, intermediary, recognise
from undam.probe import report_json
from undam.probe.remedies import recognised_in, with_fixes, with_known_filter
from undam.record import Head
from undam.rules import Finding, Fix, finding
from undam.timing.beacon import HEADER
from undam.timing.numbered_text import encode_piece


def buffering_at(*hops: Hop) -> Finding:
    (found,) = [one for one in report(*hops).findings if one.code in {"UD101", "UD102"}]
    return found


def test_signed_hop_gets_its_own_fix() -> None:
    found = buffering_at(hop(model=block_buffer(4096), server="nginx/1.22.1"))
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_unsigned_hop_is_guessed_from_its_behaviour() -> None:
    found = buffering_at(hop(model=block_buffer(4096)))
    assert found.fix is not None
    assert found.fix.where == "a reader in the application"
    assert found.fix.text == intermediary("application-reader").fixes[Trouble.HOLD].text


def test_nginx_behind_a_proxy_that_replaces_its_sign_is_guessed() -> None:
    found = buffering_at(hop(model=block_buffer(5000), server="cloudflare"))
    assert found.fix is not None
    assert found.fix.where == "the application itself"
    named = report(hop(model=block_buffer(4096), server="cloudflare")).suspects["edge"]
    assert "nginx" in [one.name for one in named]


def test_intermediary_that_signed_only_here_is_preferred() -> None:
    inner = hop("inner", server="envoy")
    found = buffering_at(hop(model=block_buffer(4096), server="nginx", inner=inner), inner)
    assert (found.hop, found.fix) == ("edge", Fix("nginx", "proxy_buffering off;"))


def test_two_hops_of_the_same_kind() -> None:
    inner = hop("inner", server="nginx")
    found = buffering_at(hop(model=hold_to_end(), server="nginx", inner=inner), inner)
    assert found.fix == Fix("nginx", "proxy_buffering off;")


def test_an_unknown_proxy_is_suspected_only_at_the_hop_that_it_signed() -> None:
    def via(given: Hop) -> Hop:
        seen = given.exchange
        assert seen.head is not None
        head = replace(seen.head, headers=(*seen.head.headers, ("Via", "1.1 gw")))
        (reading,) = given.readings
        return replace(given, readings=(replace(reading, exchange=replace(seen, head=head)),))

    inner = hop("inner")
    outer = via(hop(model=hold_to_end(), inner=inner))
    assert report(outer, inner).suspects["edge"][0].name == "proxy gw"
    assert buffering_at(outer, inner).fix == Fix(
        "the proxy gw", "turn buffering and inspection of responses off for the path"
    )
    assert "proxy gw" not in [one.name for one in report(outer, via(inner)).suspects["edge"]]


def test_a_block_of_any_other_size_is_that_of_the_application() -> None:
    odd = hop(model=block_buffer(3000))
    found = buffering_at(odd)
    assert found.fix is not None
    assert found.fix.where == "the application itself"
    # The inner hop is undam's own beacon server, which flushes each event.
    exact = hop(model=block_buffer(3000), offset=ClockOffset())
    assert buffering_at(exact).fix is None


def behind_an_application(model: HopModel, *, with_header: bool) -> list[str]:
    """Return the suspects for a numbered answer that is held in front of the beacon."""
    pieces = [encode_piece(i, 80, START_NS + i * 25 * MS, "3fa2") for i in range(80)]
    sent = answer([25.0 * i for i in range(80)], pieces, stamped=False)
    marked = (*SSE_HEAD.headers, (HEADER, "1")) if with_header else SSE_HEAD.headers
    head = replace(SSE_HEAD, headers=marked)
    reading = read_exchange(exchange(model(sent, sent[-1].at_ms), head=head))
    held = analyze_hop([reading], offset=ClockOffset())
    return [one.name for one in report(held, offset=ClockOffset()).suspects.get("edge", ())]


def test_an_application_in_front_of_a_beacon_is_a_suspect() -> None:
    assert "application" in behind_an_application(hold_to_end(), with_header=False)
    assert "application" not in behind_an_application(hold_to_end(), with_header=True)
    assert behind_an_application(pass_through(), with_header=False) == []


def azure(*, offsets: bool, delta: bool, burst: int = 12, every_ms: float = 300.0) -> Hop:
    """Return a stream that Azure's filter signed, in bursts of whole events."""
    choice: dict[str, object] = {"index": 0, "content_filter_results": {}}
    choice |= {"content_filter_offsets": {"check_offset": 44}} if offsets else {}
    choice |= {"delta": {"content": ""}} if delta else {}
    mark = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    writes = [Write(100.0, mark)]
    for i in range(10):
        events = [chat_event(f" t{i}") for _ in range(burst)]
        writes.append(Write(300 + i * every_ms, b"".join(events)))
    reading = read_exchange(exchange([*writes, Write(3000, b"data: [DONE]\n\n")]))
    found = analyze_hop([reading], intermediaries=recognised_in(reading.exchange))
    return with_known_filter(found)


@pytest.mark.parametrize(("offsets", "delta"), [(False, True), (False, False), (True, True)])
def test_a_filter_that_collects_is_named(offsets: bool, delta: bool) -> None:
    held = azure(offsets=offsets, delta=delta)
    (suspect,) = report(held).suspects["edge"]
    assert held.shape.held
    assert suspect.name == "azure-openai-filter"
    assert suspect.fix is not None


@pytest.mark.parametrize(("burst", "every_ms"), [(12, 300), (4, 90), (1, 25)])
def test_a_filter_that_is_already_asynchronous_is_not_blamed(burst: int, every_ms: float) -> None:
    found = azure(offsets=True, delta=False, burst=burst, every_ms=every_ms)
    assert found.intermediaries == ("azure-openai-filter",)
    assert not found.shape.held
    assert report(found).suspects == {}


def test_every_hold_has_suspects_and_a_healthy_hop_has_none() -> None:
    assert report(hop()).suspects == {}
    held = hop(model=hold_to_end(), server="uvicorn")
    named = report(held).suspects["edge"]
    assert [one.name for one in named][:1] == ["application"]
    listed = report_json(report(held))["suspects"]
    assert isinstance(listed, list)
    assert listed[0] == {
        "hop": "edge", "name": "application", "title": "The application itself", "signed": False,
        "evidence": ["the head is that of an application server (Server: uvicorn)"],
        "fix": {"where": "application", "text": named[0].fix and named[0].fix.text},
    }  # fmt: skip


def test_a_fix_that_the_response_carries_is_not_offered() -> None:
    late = finding("UD105", "edge", headers_ms=900)
    (one,) = with_fixes([late], [hop(server="haproxy")])
    assert one.fix is None or "no-transform" not in one.fix.text


@pytest.mark.parametrize(
    ("code", "limit_s", "wanted"),
    [("UD404", 15.02, "envoy"), ("UD403", 60.01, "nginx"), ("UD403", 17.5, None)],
)
def test_cut_is_recognised_by_its_duration(code: str, limit_s: float, wanted: str | None) -> None:
    found = finding(code, "edge", limit_s=limit_s, saved="keep it open")
    (one,) = with_fixes([found], [hop()])
    assert (one.fix is not None and one.fix.where.startswith(wanted or "-")) == bool(wanted)


def test_existing_fix_stays_and_other_findings_get_none() -> None:
    own = Fix("origin", "Incremental: ?1")
    kept = finding("UD202", "edge", fix=own, missing="x")
    bare = finding("UD601", "edge", after_s=1, silent_s=0)
    lost = replace(buffering_at(hop(model=block_buffer(4096))), hop="nowhere", fix=None)
    fixes = [one.fix for one in with_fixes([kept, bare, lost], [hop(server="nginx")])]
    assert fixes == [own, None, None]


BY_TIMER = Head(200, "1.1", (("content-type", "text/event-stream"), ("date", "now")))
MIXED_CASE = Head(200, "1.1", (("Content-Type", "text/event-stream"), ("Server", "corky/1.0")))
BARE = Head(200, "1.1", (("content-type", "text/event-stream"),))
NGINX = Head(200, "1.1", (("Content-Type", "text/event-stream"), ("Server", "nginx/1.22.1")))


def fix_by_timer(head: Head, period_ms: float = 207.0, *, inner: Hop | None = None) -> Fix | None:
    """Return the fix for a hop that releases events on a timer; ``head`` identifies the hop."""
    held = hop(model=timed_flush(period_ms))
    exchange = replace(held.exchange, head=head)
    reading = replace(held.reading, exchange=exchange)
    held = replace(held, readings=(reading,), intermediaries=recognise(head))
    assert held.shape.release is Release.TIMER
    hops = [held] if inner is None else [held, inner]
    (one,) = with_fixes([finding("UD103", "edge", every_ms=period_ms, events_per_burst=9)], hops)
    return one.fix


def test_a_timer_at_a_head_in_mixed_case_is_the_servers_own() -> None:
    fix = fix_by_timer(MIXED_CASE)
    assert fix is not None
    assert fix.where == "the server itself (Server: corky/1.0), for instance puma"
    assert "no TCP_CORK" in fix.text
    assert "haproxy" not in fix.text


def test_a_timer_at_a_head_without_server_and_date_is_the_servers_own() -> None:
    fix = fix_by_timer(BARE)
    assert fix is not None
    assert fix.where.startswith("the server itself")


def test_a_timer_at_a_head_that_haproxy_could_have_sent_suggests_both() -> None:
    fix = fix_by_timer(BY_TIMER)
    assert fix is not None
    assert fix.where == "haproxy, if that is in the path"
    assert fix.text.startswith("option http-no-delay\n")
    assert "the server itself" in fix.text


def test_a_timer_in_front_of_a_server_that_streams_is_not_the_servers() -> None:
    inner = hop("inner")
    assert fix_by_timer(BY_TIMER, inner=inner) == Fix(
        "haproxy, if that is in the path", "option http-no-delay"
    )
    assert fix_by_timer(MIXED_CASE, inner=inner) is None


@pytest.mark.parametrize("period_ms", [150.0, 300.0, 400.0])
def test_a_timer_of_any_period_can_be_the_servers(period_ms: float) -> None:
    fix = fix_by_timer(BY_TIMER, period_ms)
    assert fix is not None
    assert fix.where == "the server itself"


def test_nginx_is_not_blamed_for_a_timer() -> None:
    fix = fix_by_timer(NGINX)
    assert fix is not None
    assert "proxy_buffering" not in fix.text


def test_a_fix_fits_the_version_in_the_head() -> None:
    cut = finding("UD403", "edge", limit_s=30.4, saved="keep it open")
    for server, text in (("ATS/9.2.9", "CONFIG proxy"), ("ATS/10.2", "records:")):
        (one,) = with_fixes([cut], [hop(server=server)])
        assert one.fix is not None
        assert one.fix.text.startswith(text)


@pytest.mark.parametrize("code", ["UD601", "UD602"])
def test_an_error_text_at_the_end_names_the_relay_that_wrote_it(code: str) -> None:
    broken = hop()
    last = replace(
        broken.exchange.arrivals[-1], data=b"Error occurred while trying to proxy: 127.0.0.1:9/"
    )
    exchange = replace(broken.exchange, arrivals=(*broken.exchange.arrivals[:-1], last))
    ending = replace(broken, readings=(replace(broken.reading, exchange=exchange),))
    found = finding(code, "edge", after_s=1, silent_s=0, how="in the middle of an event")
    (one,) = with_fixes([found], [ending])
    assert one.fix is not None
    assert (one.fix.where, "ejectPlugins" in one.fix.text) == ("http-proxy-middleware", True)
