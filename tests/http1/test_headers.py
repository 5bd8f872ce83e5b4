"""Hop-by-hop headers, and headers that prevent buffering of a stream."""

from __future__ import annotations

import pytest

from undam.http1.headers import NO_BUFFERING, RawHeaders, with_no_buffering, without_hop_by_hop


def test_headers_of_the_connection_and_those_it_names_are_dropped() -> None:
    headers = [
        (b"Connection", b"close, X-Private"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Private", b"1"),
        (b"X-Public", b"2"),
    ]
    assert without_hop_by_hop(headers) == [(b"X-Public", b"2")]


@pytest.mark.parametrize("name", [b"Authorization", b"Cookie", b"Content-Type", b"X-Api-Key"])
def test_connection_cannot_remove_what_an_upstream_decides_by(name: bytes) -> None:
    headers = [(b"Connection", name), (name, b"value")]
    assert without_hop_by_hop(headers) == [(name, b"value")]


def test_headers_without_hop_by_hop_names_stay_the_same_object() -> None:
    headers = [(b"Host", b"a"), (b"Accept", b"b")]
    assert without_hop_by_hop(headers) is headers


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], [*NO_BUFFERING]),
        ([(b"Cache-Control", b" ")], [*NO_BUFFERING]),
        (
            [(b"Cache-Control", b"private"), (b"cache-control", b"max-age=0")],
            [(b"cache-control", b"private, max-age=0, no-transform"), *NO_BUFFERING[1:]],
        ),
        (
            [(b"Cache-Control", b"No-Transform"), (b"X-Accel-Buffering", b"yes")],
            [
                (b"X-Accel-Buffering", b"yes"),
                (b"cache-control", b"No-Transform"),
                (b"incremental", b"?1"),
            ],
        ),
    ],
    ids=["none", "blank", "two values", "present"],
)
def test_missing_headers_against_buffering_are_added(
    headers: RawHeaders, expected: RawHeaders
) -> None:
    assert with_no_buffering(headers) == expected
