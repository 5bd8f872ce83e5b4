"""Captures from two hosts: the offset between their clocks, and holds between the hosts."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from support.capture_builder import pcapng, stream_through_proxy
from support.undam_command import run_undam
from undam.tap.capture.capture_file import Packet
from undam.tap.clocks import offset_between, times_of

MS = 1_000_000
GAPS = random.Random(3)
DUE = [200.0]
while len(DUE) < 100:
    DUE.append(DUE[-1] + GAPS.uniform(5, 45))
OUT = [DUE[min(99, number // 10 * 10 + 9)] + 0.2 for number in range(100)]


def on_two_hosts(offset_ms: float, delay_ms: float) -> tuple[list[Packet], list[Packet]]:
    """Return two captures, from the proxy's host (10.0.0.2) and the origin's host (10.0.0.3)."""
    proxy: list[Packet] = []
    origin: list[Packet] = []
    for packet in stream_through_proxy(DUE, OUT):
        source = packet.data[26:30]
        if b"\x23\x28" not in packet.data[34:38]:  # port 9000 belongs to the origin
            proxy.append(packet)
            continue
        from_origin = source == bytes([10, 0, 0, 3])
        travel = round(delay_ms * MS) * (1 if from_origin else -1)
        proxy.append(packet)
        origin.append(packet._replace(at_ns=packet.at_ns - travel + round(offset_ms * MS)))
    return proxy, sorted(origin, key=lambda one: one.at_ns)


@pytest.mark.parametrize("offset_ms", [-5000.0, -3.0, 0.0, 0.7, 90_000.0])
def test_the_offset_is_found_within_its_uncertainty(offset_ms: float) -> None:
    proxy, origin = on_two_hosts(offset_ms, delay_ms=0.4)
    found = offset_between(times_of(proxy), times_of(origin))
    assert found is not None
    assert abs(found.offset_ns / MS - offset_ms) <= found.uncertainty_ns / MS
    assert found.uncertainty_ns < 1 * MS


def test_captures_without_a_common_connection_have_no_offset() -> None:
    proxy, _ = on_two_hosts(0, 0.4)
    other = stream_through_proxy(DUE, OUT, number=7)
    assert offset_between(times_of(proxy), times_of(other)) is None


def test_holds_are_the_same_as_on_one_clock(tmp_path: Path) -> None:
    proxy, origin = on_two_hosts(90_000, 0.4)
    client_side = [one for one in proxy if b"\x23\x28" not in one.data[34:38]]
    shared = proxy[: len(proxy)]
    first, second = tmp_path / "proxy.pcapng", tmp_path / "origin.pcapng"
    first.write_bytes(pcapng(shared))
    second.write_bytes(pcapng(origin))
    assert client_side
    row = json.loads(run_undam("tap", "-r", str(first), "-r", str(second), "--json").out)
    (one,) = row["proxies"]
    (clock,) = row["clocks"]
    longest = max(out - due for due, out in zip(DUE, OUT, strict=True))
    assert abs(one["hold_ms"]["max"] - longest) <= clock["uncertainty_ms"] + 0.5
    assert one["verdict"] == "batched"
    assert row["lost"] == 0


def test_unrelated_captures_are_analyzed_one_by_one_and_the_reason_is_reported(
    tmp_path: Path,
) -> None:
    paths = []
    for number in (0, 7):
        path = tmp_path / f"{number}.pcapng"
        path.write_bytes(pcapng(stream_through_proxy(DUE, OUT, number=number)))
        paths += ["-r", str(path)]
    row = json.loads(run_undam("tap", *paths, "--json").out)
    assert row["clocks"] == []
    assert "clocks cannot be compared" in row["problems"][0]
    assert row["proxies"][0]["streams"] == 2
