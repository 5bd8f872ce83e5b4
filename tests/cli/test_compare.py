"""`undam compare`: a verdict for people, JSON and an exit code for CI, and plain refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.load_test_model import simulate
from support.undam_in_process import call
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


def test_the_same_again_is_no_difference(base: str, tmp_path: Path) -> None:
    said = call("compare", base, _result(tmp_path / "b.json", seed=1))
    assert (said.code, said.err) == (0, "")
    assert "No difference beyond the noise." in said.out
    assert "note:" not in said.out


def test_a_regression_is_named_and_fails(base: str, tmp_path: Path) -> None:
    slower = _result(tmp_path / "b.json", seed=1, shift=1.2)
    said = call("compare", base, slower)
    assert said.code == 1
    assert "TTFT slower" in said.out
    assert "Regression over 10 %:" in said.out
    assert call("compare", base, slower, "--threshold", "50").code == 0
    back = call("compare", slower, base)
    assert (back.code, "TTFT faster" in back.out) == (0, True)


def test_json_is_alone_and_whole(base: str, tmp_path: Path) -> None:
    told = call("compare", base, _result(tmp_path / "b.json", shift=1.5), "--json").json
    assert (told["schema"], told["command"], told["threshold_percent"]) == (1, "compare", 10)
    ttft = next(one for one in told["metrics"] if one["metric"] == "ttft")
    assert ttft["verdict"] == "slower"
    mean = ttft["statistics"][0]
    assert mean["low"] < mean["ratio"] < mean["high"]
    assert {"metric": "ttft", **mean} in told["regressions"]
    file = tmp_path / "told.json"
    assert "TTFT" in call("compare", base, base, "--json", str(file)).out
    assert json.loads(file.read_text())["regressions"] == []


def test_a_record_is_as_good_as_a_result(base: str, tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    lines = [request_result_line(one) for one in simulate(200, events=lambda _: 12)]
    path.write_text(header_line({"command": "bench", **ABOUT}) + "".join(lines) + '{"kind"')
    said = call("compare", base, str(path), "--json").json
    assert {one["ratio"] for metric in said["metrics"][:4] for one in metric["statistics"]} == {1}
    assert said["notes"] == [f"{path} was interrupted, and is not the whole load"]


def test_unlike_runs_are_told_in_words(base: str, tmp_path: Path) -> None:
    other = _result(tmp_path / "b.json", {"url": "http://b/", "load": "\x1b[31mother"}, seed=1)
    said = call("compare", base, other).out
    assert "note: different url: http://a/v1/chat/completions against http://b/" in said
    assert "note: different load: closed loop, 10 at a time against " in said
    assert "\x1b" not in said


def test_too_little_is_said_to_be(tmp_path: Path) -> None:
    few = tmp_path / "few.json"
    few.write_text(json.dumps(summarize(simulate(3)).to_json()))
    said = call("compare", str(few), str(few))
    assert (said.code, "Too little was measured" in said.out) == (0, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "neither JSON nor a record"),
        ("{", "neither JSON nor a record"),
        ("[" * 100_000, "neither JSON nor a record"),
        ("[]", "is no result of undam bench"),
        ('{"command":"check","schema":1}', "is no result of undam bench"),
        ('{"command":"bench","schema":9}', "has schema 9"),
        ('{"command":"bench","schema":1,"runs":[]}', "holds no single run"),
        ('{"command":"bench","schema":1,"blocks":5}', "is damaged"),
        ('{"kind":"record","schema":7}', "line 1"),
        ('{"kind":"record","schema":1}', "without requests"),
        ('{"kind":"record","schema":1}\n{"kind":"measured"}\n', "line 2"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_a_line(
    base: str, tmp_path: Path, text: str, said: str
) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(UsageError) as refused:
        call("compare", base, str(bad))
    assert str(bad) in str(refused.value)
    assert said in str(refused.value)


def test_files_that_are_none_are_refused(base: str, tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "absent", tmp_path, tmp_path / "binary"):
        with pytest.raises(UsageError, match=path.name):
            call("compare", base, str(path))
    with pytest.raises(UsageError, match="--json"):
        call("compare", base, base, "--json", str(tmp_path / "no" / "such.json"))
