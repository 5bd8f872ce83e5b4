"""`undam tap` on capture files: text and JSON output, records, exit codes, and errors."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from support.capture_builder import pcap, pcapng, stream_through_proxy
from support.undam_command import run_undam

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
    assert result.out.startswith("UNKNOWN  the capture contains no stream")
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
