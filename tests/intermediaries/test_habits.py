"""Who is proposed for a hold or a cut that nobody signed."""

from __future__ import annotations

import pytest

from undam.intermediaries import INTERMEDIARIES, suspects_of_cut, suspects_of_hold


def suspects(
    *,
    block_bytes: int | None = None,
    timer_ms: float | None = None,
    to_end: bool = False,
    gained_length: bool = False,
    compressed: bool = False,
) -> tuple[str, ...]:
    return suspects_of_hold(
        block_bytes=block_bytes,
        timer_ms=timer_ms,
        to_end=to_end,
        gained_length=gained_length,
        compressed=compressed,
    )


@pytest.mark.parametrize("block_bytes", [3600, 3960, 4096, 4200, 8192, 1024, 2048, 16384])
def test_blocks_of_a_page_or_its_kin_are_nginx(block_bytes: int) -> None:
    assert suspects(block_bytes=block_bytes)[0] == "nginx"


def test_one_segment_is_haproxy() -> None:
    assert suspects(block_bytes=1448) == ("haproxy",)


def test_compressed_blocks_come_from_those_that_compress() -> None:
    assert suspects(block_bytes=50_000, compressed=True) == ("nginx", "express", "varnish")


@pytest.mark.parametrize("timer_ms", [200.0, 207.0, 225.0])
def test_two_hundred_milliseconds_are_haproxy(timer_ms: float) -> None:
    assert suspects(timer_ms=timer_ms) == ("haproxy",)


def test_a_hundred_milliseconds_are_traefik() -> None:
    assert suspects(timer_ms=101.0) == ("traefik",)


def test_a_timer_explains_the_blocks_it_makes() -> None:
    assert suspects(timer_ms=200.0, block_bytes=4096) == ("haproxy",)


def test_held_to_the_end_with_a_length_is_lighttpd_or_varnish() -> None:
    assert suspects(to_end=True, gained_length=True)[:2] == ("lighttpd", "varnish")


def test_held_to_the_end_and_compressed() -> None:
    assert suspects(to_end=True, compressed=True)[:2] == ("nginx", "express")


def test_held_to_the_end_without_more() -> None:
    assert suspects(to_end=True)[0] == "nginx"


@pytest.mark.parametrize(("block_bytes", "timer_ms"), [(None, None), (700, None), (None, 20.0)])
def test_nobody_is_suspected_without_a_habit(
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
        (100.4, False, "cloudflare"),
        (2.01, True, "krakend"),
    ],
)
def test_a_cut_names_those_with_that_limit(after_s: float, total: bool, name: str) -> None:
    assert name in suspects_of_cut(after_s, total=total)


def test_an_idle_cut_is_not_laid_to_a_total_limit() -> None:
    assert "envoy" not in suspects_of_cut(15.0, total=False)
    assert "nginx" not in suspects_of_cut(60.0, total=True)


@pytest.mark.parametrize("after_s", [0.0, 7.0, 44.0, 80.0])
def test_a_cut_at_no_default_names_nobody(after_s: float) -> None:
    assert suspects_of_cut(after_s, total=False) == ()
    assert suspects_of_cut(after_s, total=True) == ()


def test_suspects_of_a_cut_come_in_registry_order() -> None:
    order = [known.name for known in INTERMEDIARIES]
    found = suspects_of_cut(60.0, total=False)
    assert list(found) == sorted(found, key=order.index)
