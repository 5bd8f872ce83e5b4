"""`undam tap` on capture files: text and JSON output, records, exit codes, and errors."""

from __future__ import annotations

import gzip
import io
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.capture_builder import pcap, pcapng, stream_through_proxy
from support.undam_command import invoke, run_undam
from undam.errors import UsageError
from undam.tap.capture.capture_file import CaptureWriter, Packet

GAPS = random.Random(3)
DUE = [200.0]
while len(DUE) < 100:
    DUE.append(DUE[-1] + GAPS.uniform(5, 45))
# The hop sends blocks of ten events, so only the last event of each block has no delay.
HELD = [DUE[min(99, number // 10 * 10 + 9)] + 0.2 for number in range(100)]


@pytest.fixture
def held(tmp_path: Path) -> Path:
    path = tmp_path / "held.pcapng"
    path.write_bytes(pcapng(stream_through_proxy(DUE, HELD)))
    return path


def test_text_names_the_proxy_the_hold_and_the_fix(held: Path) -> None:
    result = run_undam("tap", "-r", str(held))
    assert result.code == 1
    assert result.out.startswith("HELD  by 10.0.0.2:8080\n")
    assert "  hold p50 " in result.out
    assert "proxy_buffering off" in result.out
    assert "sk-secret" not in result.out


def test_json_has_the_promised_fields(held: Path) -> None:
    result = run_undam("tap", "-r", str(held), "--json")
    row = json.loads(result.out)
    assert (row["schema"], row["command"], row["lost"], row["streams"]) == (1, "tap", 0, 2)
    (proxy,) = row["proxies"]
    assert proxy["address"] == "10.0.0.2:8080"
    assert proxy["verdict"] == "batched"
    longest = max(out - due for due, out in zip(DUE, HELD, strict=True))
    assert proxy["hold_ms"]["max"] == pytest.approx(longest, abs=0.1)
    more_ms = proxy["ttft_out_ms"]["p50"] - proxy["ttft_in_ms"]["p50"]
    assert more_ms == pytest.approx(HELD[0] - DUE[0], abs=0.5)
    assert proxy["integrity"]["lost"] == 0
    assert proxy["estimated"] is False
    assert row["findings"]


def test_a_healthy_capture_exits_with_0(tmp_path: Path) -> None:
    path = tmp_path / "free.pcap"
    path.write_bytes(pcap(stream_through_proxy(DUE, [at + 0.3 for at in DUE])))
    result = run_undam("tap", "-r", str(path))
    assert (result.code, result.out.split()[0]) == (0, "STREAMING")


def test_standard_input_is_read(held: Path) -> None:
    with held.open("rb") as file:
        assert run_undam("tap", "-r", "-", stdin=file).code == 1


def test_a_record_has_no_text_and_report_finds_the_same_hold(held: Path, tmp_path: Path) -> None:
    record = tmp_path / "r.jsonl"
    run_undam("tap", "-r", str(held), "--record", str(record))
    assert "word" not in record.read_text()
    assert "sk-secret" not in record.read_text()
    assert "BATCHED" in run_undam("report", str(record)).out


def test_the_written_capture_has_no_secret_and_gives_the_same_result(
    held: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pcapng"
    first = run_undam("tap", "-r", str(held), "-w", str(copy), "--json")
    data = copy.read_bytes()
    assert not [text for text in (b"sk-secret", b"word", b"question", b"answer-0") if text in data]
    second = run_undam("tap", "-r", str(copy), "--json")
    assert json.loads(second.out)["proxies"] == json.loads(first.out)["proxies"]


def test_the_packets_themselves_are_written_only_with_keep_bodies(
    held: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.pcapng"
    run_undam("tap", "-r", str(held), "-w", str(copy), "--keep-bodies")
    data = copy.read_bytes()
    assert b"word 7" in data
    assert b"sk-secret" not in data


def test_a_truncated_file_is_analyzed_and_reported(held: Path) -> None:
    held.write_bytes(held.read_bytes()[:-100])
    result = run_undam("tap", "-r", str(held))
    assert result.code == 1
    assert "the capture ends inside" in result.out


def test_a_capture_without_streams_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "none.pcap"
    path.write_bytes(pcap([]))
    result = run_undam("tap", "-r", str(path))
    assert result.out.startswith("UNKNOWN  no packet was captured; check the ports")
    assert result.code == 0


def test_a_file_that_is_not_a_capture_exits_with_2(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("hello, this is text")
    result = run_undam("tap", "-r", str(path))
    assert result.code == 2
    assert "not a pcap or pcapng capture" in result.err


def test_a_missing_file_exits_with_2(tmp_path: Path) -> None:
    result = run_undam("tap", "-r", str(tmp_path / "no.pcap"))
    assert (result.code, "No such file" in result.err) == (2, True)


def test_file_and_interface_exclude_each_other(held: Path) -> None:
    assert run_undam("tap", "-r", str(held), "-i", "lo").code == 2


def test_packets_that_a_snapshot_length_cut_are_reported(tmp_path: Path) -> None:
    path = tmp_path / "cut.pcap"
    packets = [one._replace(data=one.data[:96]) for one in stream_through_proxy(DUE, DUE)]
    path.write_bytes(pcap(packets))
    result = run_undam("tap", "-r", str(path), "--json")
    codes = {one["code"] for one in json.loads(result.out)["findings"]}
    assert "UD932" in codes
    assert not codes & {"UD101", "UD102", "UD103", "UD111"}


def tap_text(tmp_path: Path, data: bytes) -> str:
    path = tmp_path / "capture"
    path.write_bytes(data)
    result = invoke("tap", "-r", str(path))
    return result.out + result.err


def test_a_compressed_capture_is_read(tmp_path: Path) -> None:
    data = gzip.compress(pcapng(stream_through_proxy(DUE, HELD)))
    assert tap_text(tmp_path, data).startswith("HELD  by 10.0.0.2:8080\n")
    text = tap_text(tmp_path, data[: len(data) * 2 // 3])
    assert "the capture ends inside a" in text
    with pytest.raises(UsageError, match="compressed with zstd; decompress it"):
        tap_text(tmp_path, b"\x28\xb5\x2f\xfd" + data)


def test_a_proxy_that_holds_some_streams_is_named_with_their_number(tmp_path: Path) -> None:
    packets: list[Packet] = []
    for number in range(6):
        out = HELD if number > 3 else [at + 0.3 for at in DUE]
        packets += stream_through_proxy(DUE, out, number=number, start_ms=100.0 * number)
    text = tap_text(tmp_path, pcapng(sorted(packets, key=lambda one: one.at_ns)))
    assert text.startswith("HELD  by 10.0.0.2:8080 in 2 of 6 streams\n")
    assert "streaming, 6 streams (4 streaming, 2 batched)" in text
    assert "proxy_buffering off" in text


def test_streams_with_few_events_are_not_called_streaming(tmp_path: Path) -> None:
    text = tap_text(tmp_path, pcapng(stream_through_proxy(DUE[:5], DUE[:5])))
    assert text.startswith("UNKNOWN  only 5 events were captured on both sides of the proxy\n")


def of_link_type(packets: Sequence[Packet], link_type: int) -> bytes:
    file = io.BytesIO()
    writer = CaptureWriter(file, link_type)
    for one in packets:
        writer.write(one._replace(link_type=link_type))
    return file.getvalue()


def test_packets_that_cannot_be_decoded_are_reported(tmp_path: Path) -> None:
    packets = stream_through_proxy(DUE, HELD)
    text = tap_text(tmp_path, of_link_type(packets, 105))
    assert text.startswith("UNKNOWN  the capture contains no TCP packet that can be decoded\n")
    assert f"note: {len(packets)} packets with the link type 105 cannot be decoded" in text


@pytest.mark.parametrize(("step_s", "is_reported"), [(0.2, False), (3600, True)])
def test_a_clock_that_is_set_back_is_reported(
    tmp_path: Path, step_s: float, is_reported: bool
) -> None:
    packets = stream_through_proxy(DUE, [at + 0.3 for at in DUE])
    half = len(packets) // 2
    late = [one._replace(at_ns=one.at_ns - round(step_s * 1e9)) for one in packets[half:]]
    text = tap_text(tmp_path, pcapng([*packets[:half], *late]))
    assert ("the clock of the capture was set back by 36" in text) is is_reported
