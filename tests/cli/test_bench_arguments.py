"""Options of `undam bench`: defaults, load steps, and errors for all invalid combinations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.undam_command import RunCommand
from undam.cli.commands.bench.arguments import (
    make_cancels_ns,
    make_pauses_ns,
    make_steps,
    parse_body,
    parse_models,
    parse_slos,
    read_prompts_file,
    require_output_files,
    search_load,
)
from undam.cli.commands.bench.options import BenchOptions
from undam.cli.commands.bench.outputs import OutputFiles
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.plan import Load
from undam.loadtest.setup.prompts import REMOVED, Prompt


def load(trace: list[Prompt] | None = None, **given: Any) -> Load:
    options = BenchOptions(**given)
    options.require_consistent()
    (step,) = make_steps(options, trace)
    return step.load


def test_defaults_depend_on_the_kind_of_load() -> None:
    default = load()
    assert (default.concurrency, default.requests, default.duration_s) == (10, 100, None)
    assert default.warmup == 10
    timed = load(duration=5.0)
    assert (timed.requests, timed.duration_s, timed.warmup) == (None, 5.0, 10)
    open_loop = load(rate=2.0)
    assert (open_loop.concurrency, open_loop.rate) == (None, 2.0)
    assert (open_loop.arrivals, open_loop.warmup) == ("poisson", 2)
    assert load(rate=2.0, arrivals="constant", warmup=0).warmup == 0


def test_trace_is_replayed_unless_a_load_is_given() -> None:
    trace = [Prompt("a", at_ns=0), Prompt("b", at_ns=7)]
    assert load(trace).trace_ns == (0, 7)
    assert load(trace).warmup == 0
    assert load(trace, concurrency=3).trace_ns == ()


def test_sweep_has_a_step_for_each_concurrency_or_rate() -> None:
    steps = make_steps(BenchOptions(sweep="1, 10,100", requests=50), None)
    assert [(step.label, step.load.concurrency) for step in steps] == [
        ("c=1", 1), ("c=10", 10), ("c=100", 100),
    ]  # fmt: skip
    assert [step.load.warmup for step in steps] == [1, 5, 5]
    rates = make_steps(BenchOptions(sweep="0.5/s,2/s", arrivals="constant"), None)
    assert [(step.label, step.load.rate, step.load.arrivals) for step in rates] == [
        ("0.5/s", 0.5, "constant"), ("2/s", 2.0, "constant"),
    ]  # fmt: skip


def test_search_starts_at_a_low_rate_with_short_steps() -> None:
    first = load(find_max=True, slo=("errors<1%",))
    assert (first.rate, first.duration_s, first.requests) == (1.0, 10.0, None)
    assert load(find_max=True, slo=("errors<1%",), rate=8.0, requests=40).requests == 40
    longer = search_load(first, 64.0, 2, BenchOptions())
    assert (longer.rate, longer.duration_s, longer.warmup) == (64.0, 20.0, 64)
    slots = load(find_max=True, slo=("errors<1%",), concurrency=4)
    assert (slots.concurrency, slots.duration_s) == (4, 10.0)
    assert search_load(slots, 8.0, 1, BenchOptions()).concurrency == 8


def test_each_step_of_a_search_has_other_arrival_times() -> None:
    first = load(find_max=True, slo=("errors<1%",), rate=9.0, seed=7)
    steps = [search_load(first, 9.0, 1, BenchOptions(), number=number) for number in range(3)]
    assert [step.seed for step in steps] == [7, 8, 9]


@pytest.mark.parametrize("text", ["requests_per_second>=5", "tokens_per_second>100"])
def test_search_rejects_an_objective_that_low_loads_miss(text: str) -> None:
    with pytest.raises(UsageError, match="low loads miss"):
        parse_slos(BenchOptions(find_max=True, slo=("ttft_p99<1s", text)))
    assert len(parse_slos(BenchOptions(slo=(text,)))) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"concurrency": 1, "rate": 1.0}, "either -c or --rate"),
        ({"requests": 1, "duration": 1.0}, "either -n or --duration"),
        ({"sweep": "1,2", "concurrency": 1}, "either --sweep or -c"),
        ({"sweep": "1/s", "rate": 1.0}, "either --sweep or --rate"),
        ({"sweep": "1,2", "hlog": "x"}, "either --sweep or --hlog"),
        ({"prompts": "x", "prefix_share": 0.5}, "either --prompts or --prefix-share"),
        ({"find_max": True}, "needs an objective"),
        ({"arrivals": "poisson"}, "add --rate"),
        ({"ramp": 1.0, "rate": 1.0}, "--ramp"),
        ({"data": "{}", "prompts": "x"}, "either --data or --prompts"),
        ({"prompts": "x", "prompt_words": "9"}, "not both"),
        ({"rate_end": 5.0, "duration": 3.0}, "--rate-end applies only to an open loop"),
        ({"rate": 1.0, "rate_end": 5.0}, "needs --duration"),
        ({"max_concurrency": 5}, "--max-concurrency applies only to an open loop"),
        ({"rate": 1.0, "burstiness": 2.0}, "--burstiness applies only to --arrivals gamma"),
        ({"data": "{}", "body": ("a=1",)}, "either --data or --body"),
        ({"model": "a", "models": "b:1"}, "either --model or --models"),
        ({"sweep": "1,2/s"}, "expected concurrencies"),
        ({"sweep": "0,1"}, "integer from 1"),
        ({"sweep": "0/s"}, "above 0"),
        ({"sweep": ""}, "expected concurrencies"),
        ({"concurrency": 2, "workers": 3}, "one slot per worker"),
    ],
)
def test_invalid_options_are_rejected(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(**options)


def test_open_loop_has_bursts_a_ramp_and_a_limit() -> None:
    bursts = load(rate=9.0, arrivals="gamma", burstiness=0.5, max_concurrency=20)
    assert (bursts.arrivals, bursts.burstiness, bursts.max_concurrency) == ("gamma", 0.5, 20)
    assert load(rate=9.0, arrivals="gamma").burstiness == 0.5
    ramp = load(rate=1.0, rate_end=10.0, duration=30.0)
    assert (ramp.rate, ramp.rate_end, ramp.duration_s) == (1.0, 10.0, 30.0)


def test_body_fields_are_json_or_text_and_an_empty_one_is_removed() -> None:
    given = ("ignore_eos=true", "n=2", "stop=[1]", "user=me", "a=b=c", "stream_options=", 't="5"')
    fields = parse_body(BenchOptions(body=given))
    assert fields.pop("stream_options") is REMOVED
    assert fields == {
        "ignore_eos": True, "n": 2, "stop": [1], "user": "me", "a": "b=c", "t": "5",
    }  # fmt: skip
    for invalid in ("ignore_eos", "=true"):
        with pytest.raises(UsageError, match="expected NAME=VALUE"):
            parse_body(BenchOptions(body=(invalid,)))


def test_models_are_chosen_by_weight() -> None:
    chosen = parse_models(BenchOptions(models="llama:0.7, org/lora-b:0.3"), 2000)
    assert set(chosen) == {"llama", "org/lora-b"}
    assert chosen.count("llama") == pytest.approx(1400, rel=0.06)
    assert set(parse_models(BenchOptions(models="a,name:tag"), 50)) == {"a", "name:tag"}
    for invalid in ("a:0", ":1", "a:-1", "a:1,,b:1", "a:nan"):
        with pytest.raises(UsageError, match="--models"):
            parse_models(BenchOptions(models=invalid), 3)


def test_output_files_are_checked_before_the_run(tmp_path: Path) -> None:
    path = str(tmp_path / "file")
    with pytest.raises(UsageError, match="both name"):
        require_output_files(BenchOptions(record=path, html=path), None)
    with pytest.raises(UsageError, match="both name"):
        require_output_files(BenchOptions(record=path), path)
    with pytest.raises(UsageError, match="--hlog"):
        require_output_files(BenchOptions(hlog=str(tmp_path / "no" / "such")), None)
    require_output_files(BenchOptions(record=path), "-")


def test_prompts_file_and_objectives_are_parsed(tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    assert read_prompts_file(BenchOptions()) is None
    with pytest.raises(UsageError, match="No such file"):
        read_prompts_file(BenchOptions(prompts=str(file)))
    file.write_text('{"prompt": "a"}\n{"prompt": 1}\n', encoding="utf-8")
    with pytest.raises(ConfigSyntaxError, match=r"prompts\.jsonl:2:2: "):
        read_prompts_file(BenchOptions(prompts=str(file)))
    file.write_bytes(b"\xff\n")
    with pytest.raises(ConfigSyntaxError, match="not UTF-8"):
        read_prompts_file(BenchOptions(prompts=str(file)))
    assert len(parse_slos(BenchOptions(slo=("errors<1%", "errors<1%")))) == 1


@pytest.mark.slow
def test_error_is_one_line_with_exit_code_2(run: RunCommand) -> None:
    key = "sk-very-secret-0123456789"
    for arguments, message in (
        ((), "undam bench http://"),
        (("http://127.0.0.1:9/v1/chat/completions", "-H", f"Authorization: Bearer {key}"),
         "connection refused"),
        (("http://127.0.0.1:9/sse", "--prompt-words", "9"), "no known API"),
        (("http://127.0.0.1:9/v1", "--content-path", "a.b"), "only for unknown APIs"),
        (("http://127.0.0.1:9/v1", "--slo", "ttft<5"), "--slo"),
        (("http://127.0.0.1:9/v1", "-n", "0"), "not in the range"),
        (("http://h/v1", "--http1", "--streams-per-connection", "5"), "remove --http1"),
        (("http://127.0.0.1:9/v1", "-n", "1", "--workers", "20"), "one slot per worker"),
    ):  # fmt: skip
        done = run("bench", *arguments)
        assert (done.code, done.out) == (2, ""), arguments
        assert message in done.line
        assert key not in done.err


def test_pauses_and_times_of_cancelling_follow_their_distributions() -> None:
    assert make_pauses_ns(BenchOptions()) == make_cancels_ns(BenchOptions(cancel_share=0.0)) == ()
    assert set(make_pauses_ns(BenchOptions(think_time="1.5"))) == {1_500_000_000}
    pauses = make_pauses_ns(BenchOptions(think_time="exp(2)"))
    assert sum(pauses) / len(pauses) == pytest.approx(2e9, rel=0.1)
    assert pauses != make_pauses_ns(BenchOptions(think_time="exp(2)", seed=1))
    cancels = make_cancels_ns(BenchOptions(cancel_share=0.25, cancel_after="uniform(1,3)"))
    times = [one for one in cancels if one >= 0]
    assert len(times) / len(cancels) == pytest.approx(0.25, rel=0.15)
    assert 1e9 <= min(times) < max(times) <= 3e9
    with pytest.raises(UsageError):
        make_pauses_ns(BenchOptions(think_time="soon"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"think_time": "1", "rate": 2.0}, "--think-time applies only to a closed loop"),
        ({"cancel_after": "1"}, "--cancel-after needs --cancel-share"),
    ],
)
def test_options_of_pauses_and_cancelling_need_their_load(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        BenchOptions(**given).require_consistent()


def test_record_that_cannot_be_written_is_reported_at_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with OutputFiles(BenchOptions(record="/dev/full"), {"command": "bench"}, ()) as files:
        assert "No space left on device; the run continues without it" in capsys.readouterr().err
        files.write([])
    assert capsys.readouterr().err == "", "reported once"
