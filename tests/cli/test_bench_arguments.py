"""What `undam bench` makes of its command line, and what it refuses in one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.undam_process import RunCommand
from undam.cli.commands.bench.arguments import (
    at_rate,
    prompts_from,
    require_consistent,
    require_files,
    slos_from,
    steps_from,
)
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.prompts import Prompt

NONE: dict[str, Any] = {
    **dict.fromkeys(
        ("concurrency", "rate", "arrivals", "requests", "duration", "warmup", "ramp", "sweep",
         "prompts", "prompt_words", "max_tokens", "data", "record", "html", "hlog")
    ),
    "find_max": False, "slo": (), "workers": 1, "seed": 0,
}  # fmt: skip


def given(**options: Any) -> dict[str, Any]:
    return {**NONE, **options}


def load(trace: list[Prompt] | None = None, **options: Any) -> Any:
    require_consistent(given(**options))
    (step,) = steps_from(given(**options), trace)
    return step.load


def test_what_is_left_out() -> None:
    usual = load()
    assert (usual.concurrency, usual.requests, usual.duration_s) == (10, 100, None)
    assert usual.warmup == 10
    timed = load(duration=5.0)
    assert (timed.requests, timed.duration_s, timed.warmup) == (None, 5.0, 10)
    opened = load(rate=2.0)
    assert (opened.concurrency, opened.rate, opened.arrivals) == (None, 2.0, "poisson")
    assert opened.warmup == 2
    assert load(rate=2.0, arrivals="constant", warmup=0).warmup == 0


def test_a_trace_is_replayed_unless_a_load_is_named() -> None:
    trace = [Prompt("a", at_ns=0), Prompt("b", at_ns=7)]
    assert load(trace).trace_ns == (0, 7)
    assert load(trace).warmup == 0
    assert load(trace, concurrency=3).trace_ns == ()


def test_a_sweep_is_of_concurrencies_or_of_rates() -> None:
    steps = steps_from(given(sweep="1, 10,100", requests=50), None)
    assert [(one.label, one.load.concurrency) for one in steps] == [
        ("c=1", 1), ("c=10", 10), ("c=100", 100),
    ]  # fmt: skip
    assert [one.load.warmup for one in steps] == [1, 5, 5]
    rates = steps_from(given(sweep="0.5/s,2/s", arrivals="constant"), None)
    assert [(one.label, one.load.rate, one.load.arrivals) for one in rates] == [
        ("0.5/s", 0.5, "constant"), ("2/s", 2.0, "constant"),
    ]  # fmt: skip


def test_a_search_begins_low_and_has_steps_of_its_own() -> None:
    first = load(find_max=True, slo=("errors<1%",))
    assert (first.rate, first.duration_s, first.requests) == (1.0, 10.0, None)
    assert load(find_max=True, slo=("errors<1%",), rate=8.0, requests=40).requests == 40
    assert at_rate(first, 64.0, given()).warmup == 64


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"concurrency": 1, "rate": 1.0}, "-c and --rate exclude"),
        ({"requests": 1, "duration": 1.0}, "-n and --duration exclude"),
        ({"sweep": "1,2", "concurrency": 1}, "--sweep and -c exclude"),
        ({"sweep": "1/s", "rate": 1.0}, "-?-rate"),
        ({"sweep": "1,2", "html": "x"}, "--sweep and --html exclude"),
        ({"sweep": "1,2", "record": "x"}, "--sweep and --record exclude"),
        ({"find_max": True}, "needs an objective"),
        ({"arrivals": "poisson"}, "add --rate"),
        ({"ramp": 1.0, "rate": 1.0}, "--ramp"),
        ({"data": "{}", "prompts": "x"}, "--data and --prompts exclude"),
        ({"prompts": "x", "prompt_words": "9"}, "exclude"),
        ({"sweep": "1,2/s"}, "expected concurrencies"),
        ({"sweep": "0,1"}, "whole number from 1"),
        ({"sweep": "0/s"}, "above 0"),
        ({"sweep": ""}, "expected concurrencies"),
        ({"concurrency": 2, "workers": 3}, "slot of its own"),
    ],
)
def test_what_makes_no_sense(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(**options)


def test_files_are_refused_before_the_run(tmp_path: Path) -> None:
    one = str(tmp_path / "one")
    with pytest.raises(UsageError, match="both name"):
        require_files(given(record=one, html=one), None)
    with pytest.raises(UsageError, match="both name"):
        require_files(given(record=one), one)
    with pytest.raises(UsageError, match="--hlog"):
        require_files(given(hlog=str(tmp_path / "no" / "such")), None)
    require_files(given(record=one), "-")


def test_prompts_and_objectives_are_read(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    assert prompts_from(given()) is None
    with pytest.raises(UsageError, match="No such file"):
        prompts_from(given(prompts=str(file)))
    file.write_text('{"prompt": "a"}\n{"prompt": 1}\n', encoding="utf-8")
    with pytest.raises(ConfigSyntaxError, match=r"prompts\.jsonl:2:2: "):
        prompts_from(given(prompts=str(file)))
    file.write_bytes(b"\xff\n")
    with pytest.raises(ConfigSyntaxError, match="not UTF-8"):
        prompts_from(given(prompts=str(file)))
    assert len(slos_from(given(slo=("errors<1%", "errors<1%")))) == 1


@pytest.mark.slow
def test_a_refusal_is_one_line_and_exit_2(run: RunCommand) -> None:
    key = "sk-very-secret-0123456789"
    for arguments, said in (
        ((), "undam bench http://"),
        (("http://127.0.0.1:9/v1/chat/completions", "-H", f"Authorization: Bearer {key}"),
         "connection refused"),
        (("http://127.0.0.1:9/sse", "--prompt-words", "9"), "no known API"),
        (("http://127.0.0.1:9/v1", "--content-path", "a.b"), "says where the text is"),
        (("http://127.0.0.1:9/v1", "--slo", "ttft<5"), "--slo"),
        (("http://127.0.0.1:9/v1", "-n", "0"), "not in the range"),
        (("http://127.0.0.1:9/v1", "-n", "1", "--workers", "20"), "slot of its own"),
    ):  # fmt: skip
        run_result = run("bench", *arguments)
        assert (run_result.code, run_result.out) == (2, ""), arguments
        assert said in run_result.line
        assert key not in run_result.err
