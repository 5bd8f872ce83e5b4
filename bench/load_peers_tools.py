"""Command lines and result parsers of the load-test tools in the benchmark load_peers."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from undam.timing import quantile

MODEL = "undam-sim"


@dataclass(frozen=True, slots=True)
class Task:
    """Load that a tool generates: concurrency and number of requests.

    Args:
        folder: empty folder for its files.
    """

    url: str
    streams: int
    requests: int
    tokens: int
    folder: Path


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Results reported by a tool; times are in ms."""

    ttft_p50: float
    ttft_p99: float
    itl_p99: float
    tokens_per_s: float
    requests_per_s: float


@dataclass(frozen=True, slots=True)
class Tool:
    """A load-test tool.

    Args:
        command: returns the command line.
        read: parses the result from the files of the tool.
        interpolates: whether its percentiles are interpolated, as in numpy.
        quick: whether it can make tens of thousands of requests within the time limit.
    """

    name: str
    command: Callable[[Task], list[str]]
    read: Callable[[Task], ToolResult]
    environment: Callable[[Task], dict[str, str]] = lambda _: {}
    interpolates: bool = False
    quick: bool = True
    note: str = ""


def home(name: str) -> Path:
    """Return the path of a tool's virtual environment, which scripts/bench-peers creates."""
    return Path(".venv-peers") / name


def _program(name: str, script: str) -> str:
    return str((home(name) / "bin" / script).resolve())


def _undam(task: Task) -> list[str]:
    return [
        *(sys.executable, "-m", "undam", "bench", f"{task.url}/v1/chat/completions"),
        *("-c", str(task.streams), "-n", str(task.requests), "--warmup", "0"),
        *("--max-tokens", str(task.tokens), "--model", MODEL),
        *("--json", str(task.folder / "out.json")),
    ]


def _read_undam(task: Task) -> ToolResult:
    report = json.loads((task.folder / "out.json").read_text())
    return ToolResult(
        report["ttft_ms"]["p50"],
        report["ttft_ms"]["p99"],
        report["itl_ms"]["p99"] or 0.0,
        report["events_per_second"],
        report["requests_per_second"],
    )


# Only the extension module is loaded, because importing the package requires torch.
_RUST = (
    "import importlib.util as u, sys; s = u.spec_from_file_location('_bench', sys.argv[1]);"
    "m = u.module_from_spec(s); s.loader.exec_module(m);"
    "m.run_argv(['sglang-bench', *sys.argv[2:]])"
)


def _sglang(task: Task) -> list[str]:
    found = home("sglang").resolve().glob("lib/*/site-packages/sglang/**/_bench*.so")
    return [
        *(_program("sglang", "python"), "-c", _RUST, str(next(found))),
        *("--backend", "vllm-chat", "--base-url", task.url, "--model", MODEL),
        *("--tokenizer", str(tokenizer(task.folder)), "--disable-retokenize", "--disable-tqdm"),
        *("--dataset-name", "random-ids", "--random-range-ratio", "1", "--random-input-len", "8"),
        *("--random-output-len", str(task.tokens), "--num-prompts", str(task.requests)),
        *("--max-concurrency", str(task.streams), "--warmup-requests", "0"),
        *("--output-file", str(task.folder / "out.jsonl")),
    ]


def _read_sglang(task: Task) -> ToolResult:
    report = json.loads((task.folder / "out.jsonl").read_text())
    return ToolResult(
        report["median_ttft_ms"],
        report["p99_ttft_ms"],
        report["p99_itl_ms"],
        report["output_throughput"],
        report["request_throughput"],
    )


def _locust(task: Task) -> list[str]:
    file = Path(__file__).with_name("load_peers_locust.py")
    streams = str(task.streams)
    return [
        *(_program("locust", "locust"), "-f", str(file), "--headless", "--host", task.url),
        *("--users", streams, "--spawn-rate", streams, "--run-time", "170s", "--only-summary"),
    ]


def _locust_environment(task: Task) -> dict[str, str]:
    return {
        "REQUESTS": str(task.requests),
        "TOKENS": str(task.tokens),
        "OUT": str(task.folder / "out.json"),
    }


def _read_locust(task: Task) -> ToolResult:
    report = json.loads((task.folder / "out.json").read_text())
    ttft, gaps = sorted(report["ttft_ms"]), sorted(report["gaps_ms"])
    return ToolResult(
        quantile(ttft, 0.5),
        quantile(ttft, 0.99),
        quantile(gaps, 0.99) if gaps else 0.0,
        (len(ttft) + len(gaps)) / report["seconds"],
        len(ttft) / report["seconds"],
    )


def _aiperf(task: Task) -> list[str]:
    prompts = task.folder / "prompts.jsonl"
    prompts.write_text('{"text": "w1 w2 w3 w4"}\n' * min(task.requests, 1000))
    return [
        *(_program("aiperf", "aiperf"), "profile", "-m", MODEL, "-u", task.url),
        *("--tokenizer", str(tokenizer(task.folder)), "--use-server-token-count"),
        *("--endpoint-type", "chat", "--streaming", "--ui", "none"),
        *("--concurrency", str(task.streams), "--request-count", str(task.requests)),
        *("--input-file", str(prompts), "--custom-dataset-type", "single_turn"),
        *("--extra-inputs", f"max_tokens:{task.tokens}"),
        *("--no-gpu-telemetry", "--no-server-metrics", "--output-artifact-dir", str(task.folder)),
    ]


def _read_aiperf(task: Task) -> ToolResult:
    report = json.loads((task.folder / "profile_export_aiperf.json").read_text())
    gaps = report.get("inter_chunk_latency") or report.get("inter_token_latency") or {"p99": 0.0}
    return ToolResult(
        report["time_to_first_token"]["p50"],
        report["time_to_first_token"]["p99"],
        gaps["p99"],
        report["output_token_throughput"]["avg"],
        report["request_throughput"]["avg"],
    )


def _guidellm(task: Task) -> list[str]:
    sizes = f"prompt_tokens=8,output_tokens={task.tokens}"
    return [
        *(_program("guidellm", "guidellm"), "run", "--disable-console"),
        *("--backend", f"kind=openai_http,target={task.url},model={MODEL},validate_backend=false"),
        *("--profile", f"kind=concurrent,streams={task.streams}"),
        *("--constraint", f"kind=max_requests,count={task.requests}"),
        *("--tokenizer", f"kind=huggingface_auto,model={tokenizer(task.folder)}"),
        *("--data", f"kind=synthetic_text,{sizes}"),
        *("--output", f"kind=json,path={task.folder / 'out.json'}"),
    ]


def _read_guidellm(task: Task) -> ToolResult:
    report = json.loads((task.folder / "out.json").read_text())["benchmarks"][0]
    metrics = {name: report["metrics"][name]["successful"] for name in (
        "time_to_first_token_ms", "inter_token_latency_ms")}  # fmt: skip
    ttft = metrics["time_to_first_token_ms"]
    done = ttft["count"]
    return ToolResult(
        ttft["percentiles"]["p50"],
        ttft["percentiles"]["p99"],
        (metrics["inter_token_latency_ms"].get("percentiles") or {"p99": 0.0})["p99"],
        done * task.tokens / report["duration"],
        done / report["duration"],
    )


def tokenizer(folder: Path) -> Path:
    """Create a tokenizer with 1,000 words, so that none is downloaded."""
    target = folder / "tokenizer"
    target.mkdir(exist_ok=True)
    words = ["<unk>", "<s>", "</s>", *(f"w{i}" for i in range(1000))]
    model = {
        "type": "WordLevel",
        "vocab": {word: i for i, word in enumerate(words)},
        "unk_token": "<unk>",
    }
    flags = dict.fromkeys(["single_word", "lstrip", "rstrip", "normalized"], False)
    special = [
        {"id": i, "content": word, "special": True, **flags} for i, word in enumerate(words[:3])
    ]
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": model,
    }
    (target / "tokenizer.json").write_text(json.dumps(whole))
    names = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 100000}
    (target / "tokenizer_config.json").write_text(json.dumps({**kind, **names}))
    return target.resolve()


UNDAM = Tool("undam", _undam, _read_undam)

PEERS = (
    Tool("sglang", _sglang, _read_sglang, interpolates=True, note="its Rust client"),
    Tool("locust", _locust, _read_locust, _locust_environment, note="FastHttpUser, lines"),
    Tool("aiperf", _aiperf, _read_aiperf, interpolates=True, quick=False),
    Tool("guidellm", _guidellm, _read_guidellm, quick=False, note="its ITL is a mean per request"),
)
