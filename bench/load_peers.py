"""Accuracy and throughput of the load-test tools undam, sglang, locust, aiperf and guidellm.

The simulator runs on one core and records when each request arrives and each event is sent; the
tool runs on the other core. Each tool makes the same load: a closed loop of chats with 64 tokens,
20 ms apart, and a lognormal TTFT with a median of 200 ms. Then its maximum rates of tokens and of
requests with one token are measured. `make bench-peers` installs the other tools, each in an
environment of its own. A tool that is not installed is reported.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from bench import machine
from bench.load_peers_flood import flooding
from bench.load_peers_tools import PEERS, UNDAM, Task, Tool, ToolResult, home
from bench.load_peers_truth import Truth, cores, pinned, simulator
from bench.progress import Progress

# (streams, requests); with five requests, the p99 is their maximum.
CELLS = ((1, 5), (50, 100), (200, 400), (1000, 1000))
TOKENS = 64
_CHAT = ("--ttft", "lognormal(200,0.3)", "--gap", "20", "--tokens", str(TOKENS))

# 100,000 tokens/s, more than any of these tools can read on one core.
_FLOOD_STREAMS, _FLOOD_REQUESTS, _FLOOD_TOKENS = 200, 800, 500
_FLOOD = ("--ttft", "20", "--gap", "2", "--tokens", str(_FLOOD_TOKENS))
_ONE_STREAMS = 50
# Tools that reach only a few hundred requests per second get fewer requests.
_QUICK_REQUESTS, _SLOW_REQUESTS = 40_000, 1000

_TIMEOUT_S = 240.0


class ToolFailed(RuntimeError):
    """A tool failed, or its output cannot be parsed."""


def run() -> list[str]:
    """Return tables with the TTFT and ITL errors and the throughput of each tool."""
    steal_s = machine.steal_s()
    tools = [UNDAM, *(tool for tool in PEERS if _is_installed(tool))]
    lines = [_missing(tool) for tool in PEERS if not _is_installed(tool)]
    progress = Progress(len(tools) * (len(CELLS) + 2))
    ttft, itl, in_flight, faults = _accuracy(tools, progress)
    lines += ["reported minus true TTFT p50/p99 in ms, by streams", *ttft]
    lines += ["reported minus true ITL p99 in ms", *itl]
    lines += ["maximum number of requests in flight at the server", *in_flight]
    throughput, more_faults = _throughput(tools, progress)
    lines += ["maximum throughput on one core, as reported by the tool", *throughput]
    lines += [*faults, *more_faults]
    lines.append(f"CPU steal: {machine.steal_s() - steal_s:.2f} s")
    return lines


def _is_installed(tool: Tool) -> bool:
    return (home(tool.name) / "ready").exists()


def _missing(tool: Tool) -> str:
    log = home(tool.name) / "pip.log"
    output = log.read_text().strip().splitlines()[-1:] if log.exists() else []
    reason = output[0] if output else "install it with: make bench-peers"
    return f"{tool.name}: not installed ({reason})"


def _accuracy(
    tools: list[Tool], progress: Progress
) -> tuple[list[str], list[str], list[str], list[str]]:
    head = f"  {'':<10}" + "".join(f"{f'c={streams}':>20}" for streams, _ in CELLS)
    ttft, itl, in_flight, faults = [head], [head], [head], []
    for tool in tools:
        rows: tuple[list[str], list[str], list[str]] = ([], [], [])
        for streams, requests in CELLS:
            try:
                result, truth = _measure(tool, _CHAT, streams, requests, TOKENS)
            except ToolFailed as error:
                faults.append(f"{tool.name} at {streams} streams: {error}")
                cells = ("failed", "failed", "failed")
            else:
                cells = _cells(result, truth, tool)
            progress.finish_round(f"{tool.name}, {streams} streams, TTFT error {cells[0]} ms")
            for row, cell in zip(rows, cells, strict=True):
                row.append(f"{cell:>20}")
        note = f"  ({tool.note})" if tool.note else ""
        for table, row in zip((ttft, itl, in_flight), rows, strict=True):
            table.append(f"  {tool.name:<10}{''.join(row)}{note}")
    return ttft, itl, in_flight, faults


def _cells(result: ToolResult, truth: Truth, tool: Tool) -> tuple[str, str, str]:
    p50, p99 = (truth.ttft(q, interpolated=tool.interpolates) for q in (0.5, 0.99))
    gap = truth.itl(0.99, interpolated=tool.interpolates)
    return (
        f"{result.ttft_p50 - p50:+.3f}/{result.ttft_p99 - p99:+.3f}",
        f"{result.itl_p99 - gap:+.3f}",
        f"{truth.max_in_flight}",
    )


def _throughput(tools: list[Tool], progress: Progress) -> tuple[list[str], list[str]]:
    lines, faults = [f"  {'':<10}{'tokens/s':>12}{'requests/s':>12}"], []
    rates: dict[str, tuple[float, float]] = {}
    for tool in tools:
        row = []
        for measure in (_tokens_per_s, _requests_per_s):
            try:
                row.append(measure(tool))
            except ToolFailed as error:
                faults.append(f"{tool.name} at maximum load: {error}")
                row.append(0.0)
            progress.finish_round(f"{tool.name}, {row[-1]:.0f} {measure.__name__.strip('_')}")
        rates[tool.name] = (row[0], row[1])
        lines.append(f"  {tool.name:<10}{row[0]:>12.0f}{row[1]:>12.0f}")
    for name, (tokens_per_s, requests_per_s) in rates.items():
        if name != UNDAM.name and tokens_per_s and requests_per_s:
            own = rates[UNDAM.name]
            lines.append(
                f"  undam is {own[0] / tokens_per_s:.2f} times {name} in tokens, "
                f"{own[1] / requests_per_s:.2f} times in requests"
            )
    return lines, faults


def _tokens_per_s(tool: Tool) -> float:
    result, _ = _measure(tool, _FLOOD, _FLOOD_STREAMS, _FLOOD_REQUESTS, _FLOOD_TOKENS)
    return result.tokens_per_s


def _requests_per_s(tool: Tool) -> float:
    first, last = cores()
    with tempfile.TemporaryDirectory() as folder, flooding(first) as url:
        requests = _QUICK_REQUESTS if tool.quick else _SLOW_REQUESTS
        task = Task(url, _ONE_STREAMS, requests, 1, Path(folder))
        return _run_tool(tool, task, last).requests_per_s


def _measure(
    tool: Tool, arguments: tuple[str, ...], streams: int, requests: int, tokens: int
) -> tuple[ToolResult, Truth]:
    """Run ``tool`` against a newly started simulator.

    Raises:
        ToolFailed: the message has its last line of output.
    """
    first, last = cores()
    with tempfile.TemporaryDirectory() as folder, simulator(first, *arguments) as server:
        task = Task(server.url, streams, requests, tokens, Path(folder))
        return _run_tool(tool, task, last), server.truth(tokens)


def _run_tool(tool: Tool, task: Task, core: int) -> ToolResult:
    _run_process(tool, task, core)
    try:
        return tool.read(task)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ToolFailed(f"cannot parse its result ({type(error).__name__}: {error})") from None


def _run_process(tool: Tool, task: Task, core: int) -> None:
    # Prevents downloads, because no server listens at this address.
    offline = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(task.folder / "hub"),
        "NO_COLOR": "1",
        # guidellm starts six processes, which takes a minute without cached bytecode.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with (task.folder / "output").open("w+b") as output:
        process = subprocess.Popen(
            pinned(core, tool.command(task)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **offline, **tool.environment(task)},
            start_new_session=True,
        )
        try:
            process.wait(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            raise ToolFailed(f"did not finish within {_TIMEOUT_S:.0f} s") from None
        finally:
            _kill_group(process)
        output.seek(0)
        last = output.read().decode(errors="replace").strip().splitlines()[-1:]
    # Exit code 1 can also mean findings, so success is judged by the result file.
    if process.returncode not in {0, 1}:
        raise ToolFailed(f"exit code {process.returncode}: {''.join(last)[:200]}")


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kill a tool and all its child processes, so that they do not disturb the next tool."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)


if __name__ == "__main__":
    print(*run(), sep="\n")
