"""`undam report`: re-analysis of records, with text, JSON and HTML output."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.check_reports import hop as hop_of
from support.check_reports import report
from support.random_load_test import FaultRates, random_load_test
from support.synthetic_streams import timed_flush
from support.undam_command import invoke
from undam.errors import UsageError
from undam.probe.reanalyze import reanalyze
from undam.record import header_line, record_lines, request_result_line

_ABOUT = {"command": "bench", "url": "http://a/", "load": "closed loop of 50", "workers": 2}
_FAULTS = FaultRates(errors=0.1, cuts=0.1, late_reads=0.1)
_LOST = [{"worker": 1, "why": "killed", "missing_percent": 50.0, "at_s": 1.0}]


def _bench(folder: Path, *, faulty: bool, end: dict[str, object] | None = None) -> str:
    """Write the record of a load test. Without ``end``, the record has no last line."""
    run = random_load_test(60, _FAULTS if faulty else None, warmup=5)
    lines = [header_line(_ABOUT), *(request_result_line(one) for one in run)]
    if end is not None:
        complete = {"interrupted": False, "planned": 60, "missing_percent": 0.0, "lost_workers": []}
        lines.append(json.dumps({"kind": "end", **complete, **end}) + "\n")
    file = folder / "bench.jsonl"
    file.write_text("".join(lines))
    return str(file)


def test_load_test_without_findings(tmp_path: Path) -> None:
    record, page, json_file = _bench(tmp_path, faulty=False, end={}), tmp_path / "p", tmp_path / "j"
    result = invoke("report", record, "--html", str(page), "--json", str(json_file))
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("55 requests in ")
    assert "closed loop of 50, http://a/" in result.out
    assert [line.split()[0] for line in result.out.splitlines()[2:7]] == [
        "ms", "TTFT", "ITL", "TPOT", "E2E",
    ]  # fmt: skip
    assert "5 warm-up requests excluded" in result.out
    assert "<svg" in page.read_text()
    result = json.loads(json_file.read_text())
    assert (result["command"], result["requests"], result["url"]) == ("bench", 55, "http://a/")
    assert result["interrupted"] is False
    assert invoke("report", record, "--json").json == result


def test_load_test_with_findings_exits_with_1(tmp_path: Path) -> None:
    result = invoke("report", _bench(tmp_path, faulty=True, end={"lost_workers": _LOST}))
    assert result.code == 1
    assert "error worker-lost worker 1 was lost: killed; 50 % of the load is missing" in result.out
    assert "warning UD907" in result.out
    assert "fix (undam bench): --workers 4" in result.out
    assert re.search(r"errors: (\d+) \(\1 status-429\)", result.out)
    assert re.search(r"incomplete: (\d+) \(\1 no-end\)", result.out)


def test_interrupted_load_test(tmp_path: Path) -> None:
    record = Path(_bench(tmp_path, faulty=False))
    record.write_text(record.read_text()[:-200])
    result = invoke("report", str(record))
    assert result.code == 0
    assert result.out.startswith("interrupted: 54 requests")


def test_check_is_analyzed_by_pattern(tmp_path: Path) -> None:
    held = report(hop_of("edge", timed_flush(200)), hop_of("model"))
    file = tmp_path / "check.jsonl"
    file.write_text("".join(record_lines(held.exchanges, {"command": "check"})))
    result = invoke("report", str(file))
    assert result.code == 1
    assert "batched" in result.out
    analyzed = invoke("report", str(file), "--json").json
    assert analyzed["verdict"] == "batched"
    assert [one["name"] for one in analyzed["hops"]] == ["edge", "model"]
    with pytest.raises(UsageError, match="--html works only for load tests"):
        invoke("report", str(file), "--html", str(tmp_path / "page"))


def test_only_the_first_stream_of_a_beacon_is_used() -> None:
    one = report(hop_of("edge")).exchanges[0]
    assert one.head is not None
    head = type(one.head)(200, "1.1", (*one.head.headers, ("Undam-Beacon", "id=1")))
    beacon = type(one)(**{name: getattr(one, name) for name in one.__slots__} | {"head": head})
    assert len(reanalyze([one, one]).hops[0].readings) == 2
    assert len(reanalyze([beacon, beacon]).hops[0].readings) == 1
    with pytest.raises(UsageError, match="no exchange"):
        reanalyze([])


@pytest.mark.parametrize(
    ("text", "piece"),
    [
        (b"", "the record is empty"),
        (b"nonsense\n", "line 1 is not a line of an undam record"),
        (b"[1]\n", "line 1 is not a line of an undam record"),
        (b"\xff\xfe", "line 1 is not a line of an undam record"),
        (
            b'{"schema": 1, "kind": "record", "command": "cook"}\n',
            "expected the record of a load test or a check",
        ),
        (b'{"schema": 1, "kind": "record", "command": "check"}\n', "contains no exchange"),
        (b'{"schema": 2, "kind": "record", "command": "bench"}\n', "schema 2"),
    ],
)
def test_invalid_record_is_named(tmp_path: Path, text: bytes, piece: str) -> None:
    file = tmp_path / "r"
    file.write_bytes(text)
    with pytest.raises(UsageError, match=piece):
        invoke("report", str(file))


def test_unusable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        invoke("report", str(tmp_path / "none"))
    record = _bench(tmp_path, faulty=False, end={})
    with pytest.raises(UsageError, match=r"--html .* cannot be written"):
        invoke("report", record, "--html", str(tmp_path / "no" / "page"))


def test_record_of_a_sweep_has_a_row_and_a_chart_for_each_step(tmp_path: Path) -> None:
    run = [request_result_line(one) for one in random_load_test(60)]
    conditions = [{**_ABOUT, "concurrency": slots} for slots in (25, 50)]
    steps = [
        json.dumps({"kind": "step", "step": f"c={about['concurrency']}", "about": about})
        for about in conditions
    ]
    header = header_line({"command": "bench", "steps": True, "url": "http://a/"})
    record, page = tmp_path / "sweep.jsonl", tmp_path / "page.html"
    record.write_text("".join([header, *(f"{step}\n{''.join(run)}" for step in steps)]))
    result = invoke("report", str(record), "--html", str(page), "--json", str(tmp_path / "j"))
    assert result.err == ""
    assert [line.split()[0] for line in result.out.splitlines()] == ["load", "c=25", "c=50"]
    text = page.read_text()
    assert 'id="throughput"' in text
    assert 'id="step2"' in text
    # A report from the sweep's JSON result has the same text.
    again = invoke("report", str(tmp_path / "j"))
    assert again.out == result.out


def test_json_result_of_a_run_is_shown_again(tmp_path: Path) -> None:
    record, json_file = _bench(tmp_path, faulty=True, end={}), tmp_path / "j"
    first = invoke("report", record, "--json", str(json_file))
    again = invoke("report", str(json_file), "--html", str(tmp_path / "page.html"))
    assert (again.code, again.out) == (first.code, first.out)
    assert "Time to first token" in (tmp_path / "page.html").read_text()
    damaged = {"command": "bench", "findings": [5]}
    json_file.write_text(json.dumps(damaged, indent=1))
    with pytest.raises(UsageError, match="the result is damaged"):
        invoke("report", str(json_file))
