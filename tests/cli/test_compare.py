"""`undam compare`: text output, JSON output, exit codes, and errors for invalid input."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.load_test_model import simulate
from support.queue_servers import open_loop, queueing
from support.undam_command import invoke
from undam.errors import UsageError
from undam.metrics import summarize
from undam.record import header_line, request_result_line

ABOUT = {"url": "http://a/v1/chat/completions", "load": "closed loop, 10 at a time"}


def _result(path: Path, about: dict[str, Any] | None = None, **settings: Any) -> str:
    settings = {"events": lambda _: 12, **settings}
    result = summarize(simulate(200, **settings)).to_json(about={**ABOUT, **(about or {})})
    path.write_text(json.dumps(result))
    return str(path)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return _result(tmp_path / "a.json")


def test_equal_runs_have_no_difference(base: str, tmp_path: Path) -> None:
    result = invoke("compare", base, _result(tmp_path / "b.json", seed=1))
    assert (result.code, result.err) == (0, "")
    assert "No difference beyond the noise." in result.out
    assert "note:" not in result.out


def test_regression_is_named_and_exits_with_1(base: str, tmp_path: Path) -> None:
    slower = _result(tmp_path / "b.json", seed=1, shift=1.2)
    result = invoke("compare", base, slower)
    assert result.code == 1
    assert "TTFT slower" in result.out
    assert "Regression of more than 10 %:" in result.out
    assert invoke("compare", base, slower, "--threshold", "50").code == 0
    back = invoke("compare", slower, base)
    assert (back.code, "TTFT faster" in back.out) == (0, True)


def test_json_output(base: str, tmp_path: Path) -> None:
    result = invoke("compare", base, _result(tmp_path / "b.json", shift=1.5), "--json").json
    assert (result["schema"], result["command"], result["threshold_percent"]) == (1, "compare", 10)
    ttft = next(one for one in result["metrics"] if one["metric"] == "ttft")
    assert ttft["verdict"] == "slower"
    mean = ttft["statistics"][0]
    assert mean["low"] < mean["ratio"] < mean["high"]
    assert {"metric": "ttft", **mean} in result["regressions"]
    file = tmp_path / "comparison.json"
    assert "TTFT" in invoke("compare", base, base, "--json", str(file)).out
    assert json.loads(file.read_text())["regressions"] == []


def test_record_equals_result(base: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [request_result_line(one) for one in simulate(200, events=lambda _: 12)]
    path.write_text(header_line({"command": "bench", **ABOUT}) + "".join(lines) + '{"kind"')
    result = invoke("compare", base, str(path), "--json").json
    assert {one["ratio"] for metric in result["metrics"][:4] for one in metric["statistics"]} == {1}
    assert result["notes"] == [f"{path} was interrupted and does not contain the whole load"]


def test_notes_list_different_conditions(base: str, tmp_path: Path) -> None:
    other = _result(tmp_path / "b.json", {"url": "http://b/", "load": "\x1b[31mother"}, seed=1)
    result = invoke("compare", base, other).out
    assert "note: different url: http://a/v1/chat/completions against http://b/" in result
    assert "note: different load: closed loop, 10 at a time against " in result
    assert "\x1b" not in result


def test_too_few_requests(tmp_path: Path) -> None:
    few = tmp_path / "few.json"
    few.write_text(json.dumps(summarize(simulate(3)).to_json()))
    result = invoke("compare", str(few), str(few))
    assert result.code == 0
    assert "Too few independent requests for a comparison: run some hundred" in result.out


def _queue(path: Path, seed: int, rate: float = 38, *, answer_ms: float = 20) -> str:
    results = open_loop(queueing(40), rate, 10, seed, answer_ms=answer_ms)
    path.write_text(json.dumps(summarize(results).to_json(about=ABOUT)))
    return str(path)


@pytest.mark.slow
def test_latencies_that_cannot_be_compared_are_named(tmp_path: Path) -> None:
    runs = [_queue(tmp_path / f"{seed}.json", seed) for seed in range(2)]
    result = invoke("compare", *runs)
    assert "Too little to tell whether TTFT and E2E differ" in result.out
    assert "No difference" not in result.out
    calm = [_queue(tmp_path / f"{seed}.json", seed, rate=8) for seed in range(2, 4)]
    assert "Too little to tell" not in invoke("compare", *calm).out
    single = [_queue(tmp_path / f"{seed}.json", seed, answer_ms=0) for seed in range(4, 6)]
    assert "for a comparison: use longer runs, or a lower load." in invoke("compare", *single).out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "neither JSON nor a record"),
        ("{", "neither JSON nor a record"),
        ("[" * 100_000, "neither JSON nor a record"),
        ("[]", "is not a result of undam bench"),
        ('{"command":"check","schema":1}', "is not a result of undam bench"),
        ('{"command":"bench","schema":9}', "has schema 9"),
        ('{"command":"bench","schema":1,"runs":[]}', "does not contain a single run"),
        ('{"command":"bench","schema":1,"blocks":5}', "is damaged"),
        ('{"kind":"record","schema":7}', "line 1"),
        ('{"kind":"record","schema":1}', "contains no requests"),
        ('{"kind":"record","schema":1}\n{"kind":"measured"}\n', "line 2"),
    ],
)
def test_invalid_input_is_named(base: str, tmp_path: Path, text: str, message: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(UsageError) as error:
        invoke("compare", base, str(bad))
    assert str(bad) in str(error.value)
    assert message in str(error.value)


def test_unreadable_files_are_named(base: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "binary"):
        with pytest.raises(UsageError, match=path.name):
            invoke("compare", base, str(path))
    with pytest.raises(UsageError, match="--json"):
        invoke("compare", base, base, "--json", str(tmp_path / "no" / "such.json"))
