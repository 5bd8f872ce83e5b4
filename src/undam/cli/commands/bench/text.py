"""Text output of a load test, for a terminal, a pipe or a ticket."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from undam.cli.commands.bench.result import BenchResult
from undam.cli.commands.bench.setup import load_text
from undam.cli.ui.numbers import plural
from undam.cli.ui.sanitize import one_line
from undam.cli.ui.tables import print_table, steps_table, times_cell
from undam.loadtest.coordinator.search import CapacitySearch
from undam.record.request_result import INTEGRITY_FAULTS
from undam.rules import Finding, Severity

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_TIMES = (("ttft", "TTFT"), ("itl", "ITL"), ("tpot", "TPOT"), ("e2e", "E2E"),
          ("send_delay", "send delay"))  # fmt: skip
_COLUMNS = ("count", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")


def print_result(result: BenchResult, out: Console) -> None:
    """Print the result of one run: headline, findings, objectives, metrics and conditions."""
    report = result.json()
    out.print(_headline(result, report), style="bold")
    _print_validity(report, out)
    _print_losses(result, report, out)
    _print_slos(result, out)
    for finding in result.findings:
        _print_finding(finding, out)
    out.print()
    print_table(_times_table(report), out)
    out.print()
    lines = (
        *_rates(report), *_targets(report), *_sessions(report), *_server(report),
        *_failures(report), *_conditions(result, report),
    )  # fmt: skip
    for line in lines:
        out.print(f"  {one_line(line)}")


def print_steps(results: Sequence[BenchResult], out: Console) -> None:
    """Print a table with a row for each run, and the findings and missed objectives of all runs."""
    print_table(steps_table([{"step": one.step.label, **one.json()} for one in results]), out)
    for result in results:
        label = result.step.label
        for finding in result.findings:
            out.print(
                one_line(f"{label}: {finding.severity} {finding.code}: {finding.message}"),
                style=_COLOURS[finding.severity],
            )
        for slo in result.slos:
            if not slo.is_met:
                out.print(one_line(f"{label}: {slo.text}"), style="bold red")
        _print_losses(result, result.json(), out)


def print_search(
    search: CapacitySearch, results: Sequence[BenchResult], out: Console, *, interrupted: bool
) -> None:
    """Print the highest rate that was found, and each run of the search."""
    begin = "interrupted: " if interrupted else ""
    out.print(begin + _search_summary(search, results), style="bold")
    out.print()
    print_steps(results, out)


def _search_summary(search: CapacitySearch, results: Sequence[BenchResult]) -> str:
    slos = " and ".join(slo.slo.text for slo in results[-1].slos)
    met, missed = _load_text(search, search.met), _load_text(search, search.missed)
    if search.stopped_by_client:
        reason, remedy = _client_limit(results[-1])
        return (
            f"stopped at {results[-1].step.label}: {reason}; the highest load so far that meets "
            f"{slos} is {met}. {remedy}"
        )
    if search.met is None:
        return f"no load meets {slos}; the lowest load tried was {missed}"
    if search.missed is None:
        return f"{met} meets {slos}; no load that was tried missed"
    state = "" if search.is_confirmed else " (not confirmed: too few runs)"
    return (
        f"the capacity is between {met} and {missed}{state}: {met} is the highest load that meets "
        f"{slos}"
    )


def _client_limit(result: BenchResult) -> tuple[str, str]:
    """Return why the load generator ended a search, and a remedy."""
    if result.local_limit is not None:
        return f"requests failed because {result.local_limit}", "Raise this limit, or use --workers"
    return (
        "delays of the load generator could have changed the verdict",
        "Use more --workers or CPUs",
    )


def _load_text(search: CapacitySearch, load: float | None) -> str:
    if load is None:
        return "none"
    return f"a concurrency of {load:g}" if search.is_integer else f"{load:g}/s"


def _headline(result: BenchResult, report: Mapping[str, Any]) -> str:
    load = load_text(result.step.load)
    text = f"{report['requests']} requests in {report['duration_s']:.1f} s, {load}, {report['url']}"
    if result.run_result.interrupted:
        planned = f" of {result.run_result.planned}" if result.run_result.planned else ""
        text = f"interrupted: {text}; {_started(report)}{planned} requests were started"
    return one_line(text)


def _started(report: Mapping[str, Any]) -> int:
    return int(report["requests"] + report["abandoned"] + report["warmup"])


def _print_losses(result: BenchResult, report: Mapping[str, Any], out: Console) -> None:
    workers = report["workers"]
    for loss in result.run_result.losses:
        out.print(
            one_line(
                f"error worker-lost: worker {loss.worker} of {workers} was lost "
                f"{loss.at_s:.1f} s after the start ({result.setup.clean(loss.why)}); "
                f"its {loss.measured} results are included, "
                f"{100 * loss.missing:.1f} % of the whole load is missing"
            ),
            style="bold red",
        )


def _print_finding(finding: Finding, out: Console) -> None:
    style = _COLOURS[finding.severity]
    out.print(f"{finding.severity.value} {finding.code}", style=style, end=" ")
    out.print(f"{finding.slug}: {one_line(finding.message)}")
    if finding.fix is not None:
        out.print(f"  fix ({finding.fix.where}): {one_line(finding.fix.text)}", style="green")
    if finding.severity is not Severity.INFO:
        out.print(f"  more: undam explain {finding.code}", style="dim")


def _print_validity(report: Mapping[str, Any], out: Console) -> None:
    caveats = report["caveats"]
    if not report["valid"]:
        limiting = [one for one in caveats if one["severity"] != "info"]
        codes = ", ".join(one["code"] for one in limiting)
        out.print(f"not valid without these caveats: {codes}", style="bold yellow")
    elif caveats:
        out.print(f"valid, with {plural(len(caveats), 'caveat')} for information", style="green")
    else:
        out.print("valid: no caveats", style="green")


def _print_slos(result: BenchResult, out: Console) -> None:
    for slo in result.slos:
        out.print(one_line(f"slo {slo.text}"), style="green" if slo.is_met else "bold red")


def _times_table(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("ms", *_COLUMNS)]
    for key, name in _TIMES:
        row = report[f"{key}_ms"]
        cells = [times_cell(column, row.get(column)) for column in _COLUMNS]
        if row.get("of", row["count"]) != row["count"]:
            cells[0] = f"{row['count']} of {row['of']}"
        rows.append((name, *cells))
    return rows


def _rates(report: Mapping[str, Any]) -> list[str]:
    reads, itl = report["events_per_read"], report["itl_ms"]
    lines = [*_throughput(report)]
    if reads["max"] is not None:
        lines.append(f"events per read: p50 {reads['p50']}, p99 {reads['p99']}, max {reads['max']}")
    if bounded := itl["bounded"]:
        are = "gap is" if bounded == 1 else "gaps are"
        lines.append(
            f"{bounded} {are} excluded from ITL: the hop delivered those events in one batch, at "
            f"most {itl['bounded_ms_p99']:.2f} ms apart (p99)"
        )
    lines.append(
        f"{plural(report['stalls'], 'stall')} of more than {report['stall_ms']:.0f} ms, "
        f"{plural(report['heartbeats'], 'heartbeat')}"
    )
    return lines


def _throughput(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rates in the steady state, if there is one, and in the whole run."""
    steady = report["steady"]
    if steady["requests_per_second"] is not None:
        yield (
            f"{_rates_text(steady)}: steady state from {steady['start_s']:.1f} to "
            f"{steady['end_s']:.1f} s, {steady['in_flight']:.1f} in flight"
        )
        yield f"{_rates_text(report)}: whole run, with its beginning and end"
    else:
        yield f"{_rates_text(report)}: whole run; no steady state: {steady['reason']}"
    yield f"tokens counted from {report['tokens_from']}{_input_text(report)}"
    if (offered := report["offered_per_second"]) is not None:
        served = report["served_per_second"]
        known = "unknown" if served is None else f"{served:.1f}/s"
        yield f"offered {offered:.1f}/s, served {known}"
    if report["ttft_ms"]["timed_out"]:
        yield (
            f"TTFT includes {plural(report['ttft_ms']['timed_out'], 'request')} that timed out "
            f"before the first token; for these, it is the time until the timeout"
        )
    if stopped := report["itl_ms"]["timed_out"]:
        yield (
            f"ITL includes the last wait of {plural(stopped, 'request')} that timed out after "
            f"content; it is the time until the timeout"
        )


def _rates_text(rates: Mapping[str, Any]) -> str:
    return (
        f"{rates['requests_per_second']:.1f} requests/s, "
        f"{rates['events_per_second']:.0f} events/s, {rates['tokens_per_second']:.0f} tokens/s"
    )


def _input_text(report: Mapping[str, Any]) -> str:
    parts = []
    if report["input_tokens"] is not None:
        parts.append(f"{report['input_tokens']} input tokens")
    if report["cached_percent"] is not None:
        parts.append(f"{report['cached_percent']:.0f} % of them from the prefix cache")
    if report["reasoning_tokens"] is not None:
        parts.append(f"{report['reasoning_tokens']} reasoning tokens")
    return "".join(f", {part}" for part in parts)


def _targets(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the metrics for each URL, if there are several."""
    for one in report["targets"]:
        p50, p99 = (_ms_text(one["ttft_ms"][name]) for name in ("p50", "p99"))
        yield (
            f"{one['url']}: {plural(one['requests'], 'request')}, {one['failed_percent']:g} % "
            f"failed, TTFT p50 {p50}, p99 {p99}"
        )


def _sessions(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the conversation metrics, if there were any conversations."""
    sessions = report["sessions"]
    if sessions is None:
        return
    yield (
        f"{plural(sessions['started'], 'conversation')}, {sessions['complete']} complete, "
        f"{sessions['failed']} with a failed turn, duration p50 "
        f"{_ms_text(sessions['duration_ms']['p50'])}"
    )
    turns = [f"{one['turn']}: {_ms_text(one['ttft_ms']['p50'])}" for one in sessions["turns"]]
    yield f"TTFT p50 by turn: {', '.join(turns) or 'unknown'}"


def _ms_text(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f} ms"


def _server(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield the metrics that the server itself reports."""
    server = report["server"]
    if server is None:
        return
    counts = [
        f"at most {server[f'{kind}_max']:g} {kind}"
        for kind in ("waiting", "running")
        if server[f"{kind}_max"] is not None
    ]
    if server["kv_usage_max"] is not None:
        counts.append(f"KV cache at most {100 * server['kv_usage_max']:.0f} % full")
    if server["cache_hit_percent"] is not None:
        counts.append(f"prefix cache hits {server['cache_hit_percent']:.0f} %")
    yield f"server ({server['engine']}): {', '.join(counts) or 'no queue or cache published'}"
    parts = [
        f"{name} {value:.1f} ms"
        for name, value in server["ttft_parts_ms"].items()
        if value is not None
    ]
    late = f"; mostly {server['late']}" if server["late"] else ""
    yield f"mean TTFT: {', '.join(parts)}{late}"


def _failures(report: Mapping[str, Any]) -> list[str]:
    errors = f"{plural(report['errors'], 'error')}{_kinds(report['errors_by_kind'])}"
    incomplete = f"{report['incomplete']} incomplete{_kinds(report['incomplete_by_kind'])}"
    lines = [f"{errors}, {incomplete}"]
    if without_content := report["without_content"]:
        lines.append(f"{plural(without_content, 'complete response')} without any content")
    lines += _integrity(report["integrity"])
    if report["failed_by_status"]:
        statuses = ", ".join(f"{status}: {n}" for status, n in report["failed_by_status"].items())
        lines.append(f"failures by status: {statuses}")
    for kind, message in list(report["messages"].items())[:5]:
        if message:
            lines.append(f"{kind}: {message[:200]}")
    if (retry := report["retry_after"])["count"]:
        lines.append(
            f"{plural(retry['count'], 'response')} with Retry-After, {retry['min_s']:g} to "
            f"{retry['max_s']:g} s; counted, but ignored"
        )
    return lines


def _integrity(counts: Mapping[str, int]) -> Iterator[str]:
    """Yield the number of responses with numbered events, and the damaged responses by kind."""
    checked, damaged = counts["checked"], counts["damaged"]
    if checked or damaged:
        kinds = {name: counts[name] for name in INTEGRITY_FAULTS if counts[name]}
        yield (
            f"content: {plural(checked, 'response')} with numbered events, "
            f"{damaged} damaged{_kinds(kinds)}"
        )


def _kinds(kinds: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{n} {kind}' for kind, n in kinds.items())})" if kinds else ""


def _conditions(result: BenchResult, report: Mapping[str, Any]) -> list[str]:
    lines = [_client_line(result, report)]
    if nodes := report["nodes"]:
        doubt_ms = max(node["clock_doubt_ms"] for node in nodes)
        count = plural(len({node["node"] for node in nodes}), "node")
        lines.append(
            f"on {count} of a Ray cluster; each request is timed by a single clock, and the clocks "
            f"agree within {doubt_ms:.1f} ms"
        )
    excluded = [f"{report['warmup']} warm-up"] if report["warmup"] else []
    cancelled = report["cancelled"]
    abandoned = report["abandoned"] - cancelled
    excluded += [f"{cancelled} cancelled"] if cancelled else []
    excluded += [f"{abandoned} abandoned"] if abandoned else []
    if excluded:
        lines.append(f"requests excluded from all metrics: {', '.join(excluded)}")
    settings = [f"api {report['api']}"]
    settings += [f"model {report['model']}"] if report["model"] else []
    if report["unique_prompts"]:
        settings.append("a different prompt in each request")
    elif report["prompts"]:
        settings.append(plural(report["prompts"], "different prompt"))
    lines.append(f"requests: {', '.join(settings)}, seed {report['seed']}")
    return [*lines, *_http2(report)]


def _http2(report: Mapping[str, Any]) -> Iterator[str]:
    """Yield HTTP/2 statistics: connections, streams, and refused streams."""
    counts = report["http2"]
    if counts is None:
        return
    most, connections = report["streams_per_connection"], report["client"]["connections"]
    text = f"HTTP/2: {plural(connections, 'connection')}, at most {most} streams on each"
    if (limit := counts["stream_limit"]) is not None:
        text += f"; the server allows only {limit}"
    yield text
    if counts["refused_streams"] or counts["goaways"]:
        yield (
            f"HTTP/2: {plural(counts['refused_streams'], 'refused stream')}, each retried once; "
            f"GOAWAY on {plural(counts['goaways'], 'connection')}"
        )


def _client_line(result: BenchResult, report: Mapping[str, Any]) -> str:
    client = report["client"]
    late_ms = client["late_ms_p99"]
    parts = [
        f"{client['clock']} timestamps",
        f"reads late by {late_ms:.2f} ms (p99)" if late_ms is not None else "nothing read",
        plural(client["uncertain_gaps"], "uncertain gap"),
        plural(report["workers"], "worker"),
        f"at most {client['cpu_percent'] or 0:.0f} % of a CPU per worker",
    ]
    waited_percent = result.run_result.waited_percent
    if waited_percent is not None:
        parts.append(f"runnable but not scheduled {waited_percent:.0f} % of the time")
    return f"load generator: {', '.join(parts)}"
