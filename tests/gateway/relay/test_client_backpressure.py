"""Backpressure from a slow client, and detection of a stalled client."""

from __future__ import annotations

from math import inf

from undam.gateway.relay.client_backpressure import ClientBackpressure


def test_a_client_that_reads_nothing_is_stalled_after_the_limit() -> None:
    client = ClientBackpressure()
    client.pause(10.0, unsent_bytes=100)
    assert client.paused
    assert client.deadline(60.0) == 70.0
    assert not client.is_stalled(69.9, 100, 60.0)
    assert client.is_stalled(70.0, 100, 60.0)


def test_every_byte_that_is_read_restarts_the_limit() -> None:
    client = ClientBackpressure()
    client.pause(10.0, unsent_bytes=100)
    assert not client.is_stalled(70.0, 99, 60.0)
    assert client.deadline(60.0) == 130.0


def test_without_a_limit_no_client_is_stalled() -> None:
    client = ClientBackpressure()
    client.pause(10.0, unsent_bytes=100)
    assert client.deadline(None) == inf
    assert not client.is_stalled(1e9, 100, None)


def test_a_client_that_has_caught_up_is_not_paused() -> None:
    client = ClientBackpressure()
    client.pause(10.0, unsent_bytes=100)
    client.resume()
    assert not client.paused
