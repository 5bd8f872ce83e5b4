"""Metrics from each known server, with mapped names, and from damaged text."""

from __future__ import annotations

import pytest

from support.server_metrics import llama_cpp, sglang, tgi, vllm
from undam.errors import UsageError
from undam.metrics.server.engines import ENGINES, engine_of, parse_mapping, value_of
from undam.metrics.server.prometheus_text import parse_totals


@pytest.mark.parametrize(
    ("text", "engine", "expected"),
    [
        (vllm(running=3, waiting=7), "vllm", (3, 7, 0.25)),
        (vllm().replace("kv_cache_usage", "gpu_cache_usage"), "vllm", (3, 0, 0.25)),
        (sglang(), "sglang", (2, 5, 0.4)),
        (tgi(), "tgi", (4, 1, None)),
        (llama_cpp(), "llama.cpp", (1, 2, 0.5)),
    ],
)
def test_server_is_recognized_and_its_gauges_are_read(
    text: str, engine: str, expected: tuple[float | None, ...]
) -> None:
    totals = parse_totals(text)
    found = engine_of(totals, {})
    assert found.engine == engine
    kinds = ("running", "waiting", "kv_usage")
    assert tuple(value_of(found, kind, totals) for kind in kinds) == pytest.approx(expected)


def test_other_servers_are_read_by_mapping() -> None:
    totals = parse_totals("my_queue 5\nmy_ttft_count 3\nmy_ttft_sum 0.6\n")
    with pytest.raises(UsageError, match="--server-metric waiting=NAME"):
        engine_of(totals, {})
    found = engine_of(totals, parse_mapping(["waiting=my_queue", "ttft=my_ttft"]))
    assert found.engine == "other"
    assert value_of(found, "waiting", totals) == 5
    assert value_of(found, "ttft", totals, "_sum") == 0.6
    assert value_of(found, "running", totals) is None
    both = engine_of(parse_totals(vllm(waiting=1) + "my_queue 9"), {"waiting": "my_queue"})
    assert (both.engine, both.names["waiting"]) == ("vllm", ("my_queue",))


@pytest.mark.parametrize("given", ["waiting", "waiting=", "speed=x", ""])
def test_invalid_mapping_is_rejected(given: str) -> None:
    with pytest.raises(UsageError, match="expected KIND=NAME"):
        parse_mapping([given])


def test_damaged_lines_are_left_out() -> None:
    lines = [
        "a 1", 'a{x="}"} 2', "a{x=1 5", "b NaN", "c +Inf", "d word", "# a 9", "",
        'e_bucket{le="1"} 3', "f 1e3 17000",
    ]  # fmt: skip
    assert parse_totals("\n".join(lines)) == {"a": 3.0, "f": 1000.0}
    assert parse_totals("<html>not found</html>") == {}


def test_names_of_servers_do_not_overlap() -> None:
    names = [name for engine in ENGINES for kind in engine.names.values() for name in kind]
    assert len(names) == len(set(names))
