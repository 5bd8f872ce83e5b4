"""Suspected intermediaries for a hold or a cut at a hop without fingerprints."""

from __future__ import annotations

import pytest

from undam.intermediaries import INTERMEDIARIES, suspects_of_cut, suspects_of_hold
from undam.intermediaries.habits import NEVER_BY_TIMER, TimerEvidence


def suspects(
    *,
    block_bytes: int | None = None,
    timer_ms: float | None = None,
    to_end: bool = False,
    gained_length: bool = False,
    compressed: bool = False,
    evidence: TimerEvidence | None = None,
) -> tuple[str, ...]:
    return suspects_of_hold(
        block_bytes=block_bytes,
        timer_ms=timer_ms,
        to_end=to_end,
        gained_length=gained_length,
        compressed=compressed,
        place=evidence,
    )


@pytest.mark.parametrize("block_bytes", [3600, 3960, 4096, 4200, 8192, 1024, 2048, 16384])
def test_blocks_of_a_buffer_suggest_nginx(block_bytes: int) -> None:
    assert suspects(block_bytes=block_bytes)[0] == "nginx"


def test_one_segment_suggests_haproxy() -> None:
    assert suspects(block_bytes=1448) == ("haproxy",)


def test_compressed_blocks_suggest_compressors() -> None:
    assert suspects(block_bytes=50_000, compressed=True) == ("nginx", "express", "varnish")


@pytest.mark.parametrize("timer_ms", [200.0, 207.0, 212.0, 225.0])
def test_two_hundred_milliseconds_suggest_a_corked_socket(timer_ms: float) -> None:
    assert suspects(timer_ms=timer_ms) == ("haproxy", "puma")


@pytest.mark.parametrize(
    ("evidence", "names"),
    [
        (TimerEvidence(), ("haproxy", "puma")),
        (TimerEvidence(mixed_case=True), ("puma",)),  # HAProxy sends names in lower case
        (TimerEvidence(innermost=False), ("haproxy",)),  # the server was measured, and it streams
        (TimerEvidence(mixed_case=True, innermost=False), ()),
    ],
)
def test_evidence_excludes_suspects_of_a_cork(
    evidence: TimerEvidence, names: tuple[str, ...]
) -> None:
    assert suspects(timer_ms=207.0, evidence=evidence) == names


def test_a_hundred_milliseconds_suggest_traefik_unless_it_flushes_such_a_response() -> None:
    assert suspects(timer_ms=101.0) == ("traefik",)
    assert suspects(timer_ms=101.0, evidence=TimerEvidence(flushed_at_once=True)) == ()


def test_a_timer_explains_the_blocks_it_makes() -> None:
    assert suspects(timer_ms=200.0, block_bytes=4096) == ("haproxy", "puma")


def test_kong_and_apisix_are_no_suspects_of_blocks() -> None:
    # They use HTTP/1.1 to the upstream, so a chunked stream passes.
    assert not {"kong", "apisix", "ingress-nginx"} & set(suspects(block_bytes=4096))


def test_those_that_never_use_a_timer_are_known() -> None:
    assert {known.name for known in INTERMEDIARIES} >= NEVER_BY_TIMER
    assert not NEVER_BY_TIMER & set(suspects(timer_ms=200.0) + suspects(timer_ms=100.0))


def test_held_to_the_end_with_a_length_is_lighttpd_or_varnish() -> None:
    assert suspects(to_end=True, gained_length=True)[:2] == ("lighttpd", "varnish")


def test_held_to_the_end_and_compressed() -> None:
    assert suspects(to_end=True, compressed=True)[:2] == ("nginx", "express")


def test_held_to_the_end_without_further_evidence() -> None:
    assert suspects(to_end=True)[0] == "nginx"


@pytest.mark.parametrize(("block_bytes", "timer_ms"), [(None, None), (700, None), (None, 20.0)])
def test_nothing_is_suspected_without_a_habit(
    block_bytes: int | None, timer_ms: float | None
) -> None:
    assert suspects(block_bytes=block_bytes, timer_ms=timer_ms) == ()


def test_suspects_are_known() -> None:
    named = {
        name
        for to_end in (False, True)
        for gained_length in (False, True)
        for compressed in (False, True)
        for block_bytes in (None, 1024, 1448, 4096)
        for timer_ms in (None, 100.0, 200.0)
        for name in suspects(
            block_bytes=block_bytes,
            timer_ms=timer_ms,
            to_end=to_end,
            gained_length=gained_length,
            compressed=compressed,
        )
    }
    assert len(named) > 8
    assert named <= {known.name for known in INTERMEDIARIES}


@pytest.mark.parametrize(
    ("after_s", "total", "name"),
    [
        (60.06, False, "nginx"),
        (60.3, False, "apache"),
        (62.0, False, "varnish"),
        (31.3, False, "trafficserver"),
        (15.0, True, "envoy"),
        (125.4, False, "cloudflare"),
        (2.01, True, "krakend"),
        (30.2, False, "nextjs"),
        (10.1, False, "fastly"),
        (60.1, False, "apisix"),
        (30.0, False, "aws-api-gateway"),  # edge-optimised, the default
        (300.4, False, "aws-api-gateway"),  # regional or private
        (300.4, False, "railway"),
        (300.4, False, "ngrok"),
        (300.4, False, "envoy-gateway"),
        (300.2, True, "vercel"),
        (300.2, True, "cloud-run"),
        (300.2, True, "knative"),
        (900.3, True, "railway"),
        (30.1, True, "spring-mvc"),
        (60.0, True, "cowboy"),
    ],
)
def test_a_cut_names_those_with_that_limit(after_s: float, total: bool, name: str) -> None:
    assert name in suspects_of_cut(after_s, total=total)


def test_an_idle_cut_does_not_suggest_a_total_limit() -> None:
    assert "envoy" not in suspects_of_cut(15.0, total=False)
    assert "nginx" not in suspects_of_cut(60.0, total=True)


def test_a_limit_that_someone_must_configure_is_no_default() -> None:
    assert "istio" not in suspects_of_cut(300.0, total=False)
    assert "cloudflare" not in suspects_of_cut(100.0, total=False)


def test_clients_are_no_suspects_of_a_cut() -> None:
    named = {name for total in (True, False) for name in suspects_of_cut(300.0, total=total)}
    assert not {"aiohttp-client", "undici"} & named


@pytest.mark.parametrize("after_s", [0.0, 7.0, 44.0, 80.0])
def test_a_cut_at_no_default_suggests_nothing(after_s: float) -> None:
    assert suspects_of_cut(after_s, total=False) == ()
    assert suspects_of_cut(after_s, total=True) == ()


def test_suspects_of_a_cut_come_in_registry_order() -> None:
    order = [known.name for known in INTERMEDIARIES]
    found = suspects_of_cut(60.0, total=False)
    assert list(found) == sorted(found, key=order.index)
