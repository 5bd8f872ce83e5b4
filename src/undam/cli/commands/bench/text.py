"""A load test's report in words, for a terminal, a pipe or a ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from undam.cli.commands.bench.result import BenchResult
from undam.cli.commands.bench.setup import load_text
from undam.cli.ui.sanitize import one_line
from undam.loadtest.coordinator.search import RESOLUTION, RateSearch
from undam.rules import Finding, Severity

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_TIMES = (("ttft", "TTFT"), ("itl", "ITL"), ("tpot", "TPOT"), ("e2e", "E2E"),
          ("send_delay", "send delay"))  # fmt: skip
_COLUMNS = ("count", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")


def print_result(result: BenchResult, out: Console) -> None:
    """What was run, what must be said of it, its figures, and its conditions."""
    told = result.json()
    out.print(_headline(result, told), style="bold")
    _print_losses(result, told, out)
    for found in result.findings:
        _print_finding(found, out)
    _print_slos(result, out)
    out.print()
    _print_table(_times_table(told), out)
    out.print()
    for line in (*_rates(told), *_failures(told), *_conditions(result, told)):
        out.print(f"  {one_line(line)}")


def print_steps(results: Sequence[BenchResult], out: Console) -> None:
    """A sweep: a row for each run, and what must be said of any."""
    _print_table(_steps_table(results), out)
    for result in results:
        told = result.json()
        for found in result.findings:
            out.print(
                one_line(f"{result.step.label}: {found.severity} {found.code}: {found.message}"),
                style=_COLOURS[found.severity],
            )
        for kept in result.kept:
            if not kept.is_met:
                out.print(one_line(f"{result.step.label}: {kept.text}"), style="bold red")
        _print_losses(result, told, out)


def print_search(search: RateSearch, results: Sequence[BenchResult], out: Console) -> None:
    """The rate that was found, how sure that is, and the runs that say so."""
    out.print(_verdict(search, results), style="bold")
    out.print()
    print_steps(results, out)


def _verdict(search: RateSearch, results: Sequence[BenchResult]) -> str:
    slos = " and ".join(one.slo.text for one in results[-1].kept)
    if results[-1].is_client_late:
        found = "none" if search.met is None else f"{search.met:g}/s"
        return (
            f"stopped at {results[-1].step.label}, where this client itself was late: the highest "
            f"rate so far that meets {slos} is {found}; take more --workers, or processors"
        )
    if search.met is None:
        return f"no rate meets {slos}: {search.missed or 0:g}/s was the lowest tried"
    if search.missed is None:
        return f"{search.met:g}/s meets {slos}, and no rate that was tried missed"
    percent = 100 * (search.missed / search.met - 1)
    fine = "" if search.missed / search.met <= RESOLUTION else ", no closer in so few runs"
    return (
        f"{search.met:g}/s is the highest rate that meets {slos}; "
        f"{search.missed:g}/s, {percent:.0f} % more, missed{fine}"
    )


def _headline(result: BenchResult, told: Mapping[str, Any]) -> str:
    load = load_text(result.step.load)
    text = f"{told['requests']} requests in {told['duration_s']:.1f} s, {load}, {told['url']}"
    if result.run_result.interrupted:
        planned = f" of {result.run_result.planned}" if result.run_result.planned else ""
        text = f"interrupted: {text}; {_begun(told)}{planned} requests were begun"
    return one_line(text)


def _begun(told: Mapping[str, Any]) -> int:
    return int(told["requests"] + told["abandoned"] + told["warmup"])


def _print_losses(result: BenchResult, told: Mapping[str, Any], out: Console) -> None:
    workers = told["workers"]
    for loss in result.run_result.losses:
        out.print(
            one_line(
                f"error worker-lost: worker {loss.worker} of {workers} was lost "
                f"{loss.at_s:.1f} s after the start ({result.setup.clean(loss.why)}); "
                f"{loss.measured} requests that it had measured are in the figures, "
                f"{100 * loss.missing:.1f} % of the whole load is missing"
            ),
            style="bold red",
        )


def _print_finding(found: Finding, out: Console) -> None:
    out.print(f"{found.severity.value} {found.code}", style=_COLOURS[found.severity], end=" ")
    out.print(f"{found.slug}: {one_line(found.message)}")
    if found.fix is not None:
        out.print(f"  fix ({found.fix.where}): {one_line(found.fix.text)}", style="green")
    if found.severity is not Severity.INFO:
        out.print(f"  more: undam explain {found.code}", style="dim")


def _print_slos(result: BenchResult, out: Console) -> None:
    for kept in result.kept:
        out.print(one_line(f"slo {kept.text}"), style="green" if kept.is_met else "bold red")


def _times_table(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("ms", *_COLUMNS)]
    for key, name in _TIMES:
        row = told[f"{key}_ms"]
        rows.append((name, *(_cell(column, row.get(column)) for column in _COLUMNS)))
    return rows


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.0f}" if column == "count" else _ms(value)


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _steps_table(results: Sequence[BenchResult]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [
        ("load", "requests", "req/s", "tokens/s", "TTFT p50", "p99", "ITL p50", "p99", "failed",
         "slo"),
    ]  # fmt: skip
    for result in results:
        told = result.json()
        ttft, itl = told["ttft_ms"], told["itl_ms"]
        rows.append(
            (
                result.step.label,
                str(told["requests"]),
                f"{told['requests_per_second']:.1f}",
                f"{told['tokens_per_second']:.0f}",
                *(_cell("", row.get(q)) for row in (ttft, itl) for q in ("p50", "p99")),
                str(told["errors"] + told["incomplete"]),
                ("met" if result.meets_slos else "missed") if result.kept else "-",
            )
        )
    return rows


def _print_table(rows: Sequence[Sequence[str]], out: Console) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        out.print("  " + "  ".join([first, *rest]), style="dim" if number == 0 else None)


def _rates(told: Mapping[str, Any]) -> list[str]:
    reads = told["events_per_read"]
    rates = [
        f"{told['requests_per_second']:.1f} requests/s",
        f"{told['events_per_second']:.0f} events/s",
        f"{told['tokens_per_second']:.0f} tokens/s (tokens from {told['tokens_from']})",
    ]
    lines = [", ".join(rates)]
    if reads["max"] is not None:
        lines.append(f"events per read: p50 {reads['p50']}, p99 {reads['p99']}, max {reads['max']}")
    if bounded := told["itl_ms"]["bounded"]:
        lines.append(
            f"{bounded} gaps are no value of the ITL: the hop sent their events together, at most "
            f"{told['itl_ms']['bounded_ms_p99']:.2f} ms apart (p99)"
        )
    lines.append(
        f"{_counted(told['stalls'], 'stall')} of more than {told['stall_ms']:.0f} ms, "
        f"{_counted(told['heartbeats'], 'heartbeat')}"
    )
    return lines


def _failures(told: Mapping[str, Any]) -> list[str]:
    errors = f"{_counted(told['errors'], 'error')}{_kinds(told['errors_by_kind'])}"
    lines = [f"{errors}, {told['incomplete']} incomplete{_kinds(told['incomplete_by_kind'])}"]
    if told["without_content"]:
        lines.append(f"{told['without_content']} complete answers without any content")
    if told["failed_by_status"]:
        statuses = ", ".join(f"{status}: {n}" for status, n in told["failed_by_status"].items())
        lines.append(f"failures by status: {statuses}")
    for kind, message in list(told["messages"].items())[:5]:
        if message:
            lines.append(f"{kind}: {message[:200]}")
    if (again := told["retry_after"])["count"]:
        lines.append(
            f"Retry-After was told {again['count']} times, {again['min_s']:g} to "
            f"{again['max_s']:g} s; counted, not obeyed"
        )
    return lines


def _kinds(kinds: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})" if kinds else ""


def _conditions(result: BenchResult, told: Mapping[str, Any]) -> list[str]:
    client = told["client"]
    late = client["late_ms_p99"]
    parts = [
        f"{client['clock']} stamps",
        f"late by {late:.2f} ms at p99" if late is not None else "nothing read",
        _counted(client["uncertain_gaps"], "uncertain gap"),
        _counted(told["workers"], "worker"),
        f"{client['cpu_percent'] or 0:.0f} % of a processor at most",
    ]
    if result.run_result.waited_percent is not None:
        parts.append(f"waited for one {result.run_result.waited_percent:.0f} % of the time")
    left_out = [f"{told['warmup']} of warm-up"] if told["warmup"] else []
    left_out += [f"{told['abandoned']} abandoned"] if told["abandoned"] else []
    lines = [f"this client: {', '.join(parts)}"]
    if nodes := told["nodes"]:
        doubt = max(one["clock_doubt_ms"] for one in nodes)
        count = _counted(len({one["node"] for one in nodes}), "node")
        lines.append(
            f"on {count} of a Ray cluster; each request is timed by one clock, and the clocks "
            f"agree within {doubt:.1f} ms"
        )
    if left_out:
        lines.append(f"left out of all figures: {', '.join(left_out)}")
    asked = [f"api {told['api']}"]
    asked += [f"model {told['model']}"] if told["model"] else []
    asked += [_counted(told["prompts"], "different prompt")] if told["prompts"] else []
    lines.append(f"asked: {', '.join(asked)}, seed {told['seed']}")
    return lines


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
