"""AccessLog: fields of a log line, redaction, and writes that do not block."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from undam.apis import CHAT
from undam.errors import UsageError
from undam.gateway.interfaces import EndReason, RequestInfo, RequestRecord, Upstream
from undam.gateway.telemetry import access_log
from undam.gateway.telemetry.access_log import AccessLog, entry
from undam.gateway.telemetry.gap_stats import GapStats

_TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def _record(
    target: str = "/v1/chat/completions", model: str = "llama", **more: Any
) -> RequestRecord:
    headers = [(b"Authorization", b"Bearer sk-secret123456"), (b"Traceparent", _TRACE)]
    request = RequestInfo(
        "POST", target, headers, CHAT, True, model, True, 10, "req-1", "10.0.0.1", "team-a"
    )
    record = RequestRecord(request, started_at=time.monotonic() - 1.5, **more)
    record.upstream = Upstream("gpu-1", "h", 80)
    record.content_at = record.started_at + 0.25
    record.ended_at = record.started_at + 1.5
    record.end_reason, record.status = EndReason.CLIENT_LEFT, 200
    return record


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_a_line_describes_the_request_and_its_result() -> None:
    gaps = GapStats()
    gaps.add([*[0.01] * 99, 1.01])
    line = entry(_record(heartbeats=2, retries=1, hedged="won", bytes_out=7), gaps)
    assert abs(time.time() - 1.5 - _unix(line["time"])) < 1
    assert {key: line[key] for key in ("request_id", "key", "method", "path", "status", "api")} == {
        "request_id": "req-1", "key": "team-a", "method": "POST", "path": "/v1/chat/completions",
        "status": 200, "api": CHAT.name,
    }  # fmt: skip
    assert (line["upstream"], line["model"], line["stream"]) == ("gpu-1", "llama", True)
    assert (line["ttft_ms"], line["gap_p99_ms"], line["duration_ms"]) == (250.0, 10.0, 1500.0)
    assert (line["heartbeats"], line["retries"], line["hedged"]) == (2, 1, "won")
    assert (line["ended"], line["trace_id"]) == ("client-left", _TRACE[3:35].decode())


def _unix(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp()


def test_an_unparsable_request_has_a_line() -> None:
    record = RequestRecord(
        None, started_at=time.monotonic(), status=400, end_reason=EndReason.BAD_REQUEST
    )
    line = entry(record, GapStats())
    assert (line["status"], line["ended"], line["path"]) == (400, "bad-request", None)
    json.dumps(line)


@pytest.mark.parametrize(
    "target",
    ["/v1/chat/completions?api_key=tops3cret", "/x?a=1&token=tops3cret#f", "/sk-tops3cret99/x"],
)
def test_secrets_are_redacted(target: str) -> None:
    text = json.dumps(entry(_record(target, model="sk-tops3cret99"), GapStats()))
    assert "tops3cret" not in text
    assert "secret123456" not in text


def test_client_values_cannot_start_a_new_line(tmp_path: Path) -> None:
    hostile = 'x"}\n{"forged": 1}\r\u2028\x00\ud800' + "\x01" * 5000
    log = AccessLog(tmp_path / "log")
    record = _record("/" + hostile, model=hostile, detail=hostile)
    log.write(entry(record, GapStats()))
    log.write(entry(_record(), GapStats()))
    log.close()
    raw = (tmp_path / "log").read_bytes()
    assert raw.isascii()
    assert raw.count(b"\n") == 2
    assert all(len(line) < 4096 and "forged" not in json.loads(line) for line in raw.splitlines())


def test_lines_are_written_in_order_and_the_file_can_be_rotated(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "log")
    for number in range(500):
        log.write({"n": number})
    deadline = time.monotonic() + 10
    while len(_lines(tmp_path / "log")) < 500 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [line["n"] for line in _lines(tmp_path / "log")] == list(range(500))
    (tmp_path / "log").rename(tmp_path / "log.1")
    log.reopen()
    log.write({"n": 500})
    log.close()
    assert [line["n"] for line in _lines(tmp_path / "log")] == [500]
    assert len(_lines(tmp_path / "log.1")) == 500


def test_a_blocked_reader_drops_lines_and_never_blocks_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access_log, "_BUFFER_BYTES", 200_000)
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(tmp_path / "pipe")
    started = time.monotonic()
    for number in range(5000):
        log.write({"n": number, "pad": "x" * 100})
    # Nothing reads from the pipe, so a blocking write would never return.
    assert time.monotonic() - started < 10
    found, deadline = b"", time.monotonic() + 20
    os.set_blocking(reader, False)
    while b"dropped_lines" not in found and time.monotonic() < deadline:
        try:
            found += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    log.close()
    os.close(reader)
    lines = [json.loads(line) for line in found.splitlines()]
    kept = sum(1 for line in lines if "n" in line)
    dropped = sum(line.get("dropped_lines", 0) for line in lines)
    assert dropped > 0
    assert kept + dropped == 5000


def test_an_unwritable_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot write the access log"):
        AccessLog(tmp_path / "no" / "log")
