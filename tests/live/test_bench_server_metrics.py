"""`undam bench --server-metrics` against the real HTTP server of llama.cpp."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.engine_server import engine_server
from support.live import CHAT
from support.undam_command import run_undam

SLOTS = 4


def test_queue_of_llama_cpp_is_on_the_time_axis(tmp_path: Path) -> None:
    with engine_server(tmp_path) as url:
        reports = {}
        for load in (2, 4 * SLOTS):
            done = run_undam(
                "bench", url + CHAT, "-c", str(load), "-n", str(2 * load), "--max-tokens", "10",
                "--prompt-words", "5", "--warmup", "0", "--server-metrics", url, "--json", "-",
                timeout_s=120,
            )  # fmt: skip
            assert done.code in {0, 1}, done.err
            reports[load] = done.json
    for report in reports.values():
        assert report["complete"] == report["requests"]
        assert report["server"]["engine"] == "llama.cpp"
        assert report["server"]["columns"] == ["at_ms", "running", "waiting", "kv_usage"]
        end_ms = 1000 * report["duration_s"]
        times = [row[0] for row in report["server"]["rows"]]
        # The server's metrics are read before, during and after the load test.
        assert times == sorted(times)
        assert times[0] < end_ms
        assert times[-1] > end_ms - 1000
    idle, busy = (report["server"] for report in reports.values())
    assert not idle["waiting_max"]
    assert busy["running_max"] == SLOTS
    assert busy["waiting_max"] >= 2 * SLOTS
    assert busy["late"] == "queue"
    assert busy["ttft_parts_ms"]["queue"] > 2 * busy["ttft_parts_ms"]["engine"]
    # The usage in llama.cpp responses counts both prompt tokens and answer tokens.
    report = reports[2]
    assert report["tokens"] == pytest.approx(10 * report["requests"], abs=report["requests"])
    assert report["input_tokens"] > 0
