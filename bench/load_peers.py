"""What do load tools report, and what was true? undam beside sglang, locust, aiperf and guidellm.

The simulator has one core and writes down when each request came and each event left; the tool has
the other. Every tool does the same: a closed loop of chats, 64 tokens 20 ms apart, TTFT lognormal
around 200 ms. Then as many tokens, and as many requests of one token, as it can. Peers are
installed by `make bench-peers`, each in an environment of its own; one that is missing is named.
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
from bench.load_peers_tools import PEERS, UNDAM, Said, Task, Tool, home
from bench.load_peers_truth import Truth, cores, pinned, simulator

# Streams, and requests of them: p99 of five is their maximum.
CELLS = ((1, 5), (50, 100), (200, 400), (1000, 1000))
TOKENS = 64
_CHAT = ("--ttft", "lognormal(200,0.3)", "--gap", "20", "--tokens", str(TOKENS))

# More than any tool reads from one core: 100 000 tokens/s are offered.
_FLOOD_STREAMS, _FLOOD_REQUESTS, _FLOOD_TOKENS = 200, 800, 500
_FLOOD = ("--ttft", "20", "--gap", "2", "--tokens", str(_FLOOD_TOKENS))
_ONE_STREAMS = 50
# A tool that makes some hundred requests a second is not asked for minutes of them.
_QUICK_REQUESTS, _SLOW_REQUESTS = 40_000, 1000

_PATIENCE_S = 240.0


class Failed(RuntimeError):
    """A tool did not come to its end, or said nothing that can be read."""


def run() -> list[str]:
    """Three tables: errors of TTFT, errors of ITL, ceilings; and who is not there."""
    steal_s = machine.steal_s()
    tools = [UNDAM, *(tool for tool in PEERS if _is_there(tool))]
    lines = [_missing(tool) for tool in PEERS if not _is_there(tool)]
    ttft, itl, at_once, faults = _accuracy(tools)
    lines += ["reported minus true, ms; TTFT p50/p99, by streams", *ttft]
    lines += ["the same, ITL p99", *itl]
    lines += ["requests under way at most, by the server's account", *at_once]
    ceilings, more_faults = _ceilings(tools)
    lines += ["as fast as it can, from one core, by its own account", *ceilings]
    lines += [*faults, *more_faults]
    lines.append(f"taken by the hypervisor meanwhile: {machine.steal_s() - steal_s:.2f} s")
    return lines


def _is_there(tool: Tool) -> bool:
    return (home(tool.name) / "ready").exists()


def _missing(tool: Tool) -> str:
    log = home(tool.name) / "pip.log"
    said = log.read_text().strip().splitlines()[-1:] if log.exists() else []
    reason = said[0] if said else "make bench-peers installs it"
    return f"{tool.name}: not installed ({reason})"


def _accuracy(tools: list[Tool]) -> tuple[list[str], list[str], list[str], list[str]]:
    head = f"  {'':<10}" + "".join(f"{f'c={streams}':>20}" for streams, _ in CELLS)
    ttft, itl, at_once, faults = [head], [head], [head], []
    for tool in tools:
        rows: tuple[list[str], list[str], list[str]] = ([], [], [])
        for streams, requests in CELLS:
            try:
                said, truth = _play(tool, _CHAT, streams, requests, TOKENS)
            except Failed as error:
                faults.append(f"{tool.name} at {streams} streams: {error}")
                cells = ("failed", "failed", "failed")
            else:
                cells = _cells(said, truth, tool)
            for row, cell in zip(rows, cells, strict=True):
                row.append(f"{cell:>20}")
        note = f"  ({tool.note})" if tool.note else ""
        for table, row in zip((ttft, itl, at_once), rows, strict=True):
            table.append(f"  {tool.name:<10}{''.join(row)}{note}")
    return ttft, itl, at_once, faults


def _cells(said: Said, truth: Truth, tool: Tool) -> tuple[str, str, str]:
    p50, p99 = (truth.ttft(q, interpolated=tool.interpolates) for q in (0.5, 0.99))
    gap = truth.itl(0.99, interpolated=tool.interpolates)
    return (
        f"{said.ttft_p50 - p50:+.3f}/{said.ttft_p99 - p99:+.3f}",
        f"{said.itl_p99 - gap:+.3f}",
        f"{truth.most_at_once}",
    )


def _ceilings(tools: list[Tool]) -> tuple[list[str], list[str]]:
    lines, faults = [f"  {'':<10}{'tokens/s':>12}{'requests/s':>12}"], []
    rates: dict[str, tuple[float, float]] = {}
    for tool in tools:
        row = []
        for play in (_tokens_per_s, _requests_per_s):
            try:
                row.append(play(tool))
            except Failed as error:
                faults.append(f"{tool.name} flooded: {error}")
                row.append(0.0)
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
    said, _ = _play(tool, _FLOOD, _FLOOD_STREAMS, _FLOOD_REQUESTS, _FLOOD_TOKENS)
    return said.tokens_per_s


def _requests_per_s(tool: Tool) -> float:
    first, last = cores()
    with tempfile.TemporaryDirectory() as folder, flooding(first) as url:
        many = _QUICK_REQUESTS if tool.quick else _SLOW_REQUESTS
        return _said(tool, Task(url, _ONE_STREAMS, many, 1, Path(folder)), last).requests_per_s


def _play(
    tool: Tool, arguments: tuple[str, ...], streams: int, requests: int, tokens: int
) -> tuple[Said, Truth]:
    """Let ``tool`` do it against a fresh simulator.

    Raises:
        Failed: names what it said last.
    """
    first, last = cores()
    with tempfile.TemporaryDirectory() as folder, simulator(first, *arguments) as server:
        task = Task(server.url, streams, requests, tokens, Path(folder))
        return _said(tool, task, last), server.truth(tokens)


def _said(tool: Tool, task: Task, core: int) -> Said:
    _call(tool, task, core)
    try:
        return tool.read(task)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise Failed(f"cannot read its result ({type(error).__name__}: {error})") from None


def _call(tool: Tool, task: Task, core: int) -> None:
    # Nobody may look anything up: the hub's address is one where nobody listens.
    offline = {
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HOME": str(task.folder / "hub"),
        "NO_COLOR": "1",
        # Without its bytecode guidellm, which starts six processes, takes a minute to begin.
        "PYTHONDONTWRITEBYTECODE": "",
    }
    with (task.folder / "said").open("w+b") as said:
        process = subprocess.Popen(
            pinned(core, tool.command(task)),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            env={**os.environ, **offline, **tool.environment(task)},
            start_new_session=True,
        )
        try:
            process.wait(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done in {_PATIENCE_S:.0f} s") from None
        finally:
            _end(process)
        said.seek(0)
        last = said.read().decode(errors="replace").strip().splitlines()[-1:]
    # A finding is exit code 1, too: what counts is whether there is a result.
    if process.returncode not in {0, 1}:
        raise Failed(f"exit code {process.returncode}: {''.join(last)[:200]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it started, and wait until nobody is left to disturb the next."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(0.2)


if __name__ == "__main__":
    print(*run(), sep="\n")
