"""Text report of a check, for a terminal, a pipe or a ticket."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from undam.cli.ui.output import sparkline_symbols
from undam.cli.ui.sanitize import one_line
from undam.cli.ui.sparkline import legend, sparkline
from undam.diagnosis.findings.limits import PathLimits
from undam.diagnosis.hop import Hop, hop_metrics
from undam.intermediaries import Suspect
from undam.probe import Report
from undam.probe.followup.tool_calls import TOOLS
from undam.probe.remedies import title_of
from undam.record import Ending
from undam.rules import Finding, Severity, Verdict

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 64
_COLOURS = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}
_HOLDS = {"UD101", "UD102", "UD103", "UD104", "UD111"}
_FAULTY = {Ending.BROKEN, Ending.RESET, Ending.TRUNCATED}
_VERDICTS = {
    Verdict.STREAMING: ("bold green", "events arrive as they are sent"),
    Verdict.BATCHED: ("bold red", "events arrive in bursts"),
    Verdict.LATE: ("bold red", "each event is held until the next one arrives"),
    Verdict.HELD_TO_END: ("bold red", "nothing arrives before the end"),
    Verdict.UNKNOWN: ("bold yellow", "inconclusive"),
}


def print_report(report: Report, out: Console) -> None:
    """Print the verdict, a picture of the arrivals, the metrics, and the findings with fixes."""
    _print_verdict(report, out)
    out.print()
    _print_picture(report, out)
    _print_metrics(report.hops, out)
    for hop in report.hops:
        if hop.exchange.proxy is not None:
            out.print(one_line(f"  {hop.name}: through the proxy {hop.exchange.proxy}"))
    _print_failures(report, out)
    if report.limits is not None:
        out.print()
        out.print(_limits_text(report.limits))
    for disconnect in report.disconnects:
        after = disconnect.seen_after_ms
        seen = (
            "not noticed by the origin"
            if after is None
            else f"noticed by the origin {after:.1f} ms later"
        )
        out.print(f"client disconnected {disconnect.when}: {seen}")
    for one in report.experiments:
        if one.name == TOOLS and not one.result.startswith("the arguments"):
            continue  # a finding reports this result
        out.print(
            f"experiment {one.name} at {one_line(one.hop)}: {one_line(one.result)}",
            markup=False,
            highlight=False,
        )
    shown: set[str] = set()
    for found in report.findings:
        out.print()
        print_finding(found, out)
        suspects = report.suspects.get(found.hop, ())
        if found.code in _HOLDS and found.hop not in shown:
            shown.add(found.hop)
            _print_suspects(suspects, out)
    for name, suspects in report.suspects.items():
        if name not in shown:
            out.print(f"\n{one_line(name)}:")
            _print_suspects(suspects, out)


def _print_verdict(report: Report, out: Console) -> None:
    verdict = report.verdict
    meaning = _VERDICTS[verdict][1]
    cause = next(
        (f for f in report.findings if f.code.startswith("UD1") and f.severity is Severity.ERROR),
        None,
    )
    if cause is not None:
        meaning = f"{cause.hop}: {cause.message}"
    elif verdict is Verdict.UNKNOWN:
        worst = next((f for f in report.findings if f.severity is Severity.ERROR), None)
        reason = report.hops[0].shape.reason or meaning
        meaning = reason if worst is None else f"{worst.hop}: {worst.message}"
    elif verdict is Verdict.STREAMING and not report.is_clean:
        worst = report.findings[0]
        meaning += f", but {worst.message}"
    print_verdict_line(verdict, meaning, out)


def print_verdict_line(verdict: Verdict, meaning: str, out: Console) -> None:
    """Print a verdict and what it means."""
    out.print(verdict.value.upper(), style=_VERDICTS[verdict][0], end="  ")
    out.print(one_line(meaning))


def _print_picture(report: Report, out: Console) -> None:
    rows: list[tuple[str, list[float]]] = []
    for hop in report.hops:
        sent = hop.reading.sent_ns
        rows.append((hop.name, [(s.at_ns - sent) / 1e6 for s in hop.reading.contents]))
    origin = report.hops[-1]
    if origin.exact:
        sent = origin.reading.sent_ns
        count = len(origin.reading.contents)
        rows.append(("due", [(h.due_ns - sent) / 1e6 for h in origin.holds[:count]]))
    end = max((times[-1] for _, times in rows if times), default=0.0)
    end = max(end, *((h.exchange.ended_ns - h.reading.sent_ns) / 1e6 for h in report.hops))
    if not any(times for _, times in rows) or end <= 0:
        return
    name_width = max(len(name) for name, _ in rows)
    signs = sparkline_symbols(out)
    for name, times in rows:
        out.print(f"  {name:<{name_width}} |{sparkline(times, end, _WIDTH, signs)}|")
    out.print(f"  {'':<{name_width}}  {legend(end, _WIDTH, signs)}", style="dim")
    out.print()


def _print_metrics(hops: Sequence[Hop], out: Console) -> None:
    header = (
        "hop",
        "verdict",
        "headers",
        "TTFT",
        "hold p50 / p99",
        "events",
        "per read",
        "signed by",
    )
    rows = [header, *(_row(hop) for hop in hops)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    for number, row in enumerate(rows):
        text = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(f"  {text.rstrip()}", style="dim" if number == 0 else None)


def _print_failures(report: Report, out: Console) -> None:
    """Print why the body ended early, unless a finding already states the reason."""
    reported = " ".join(found.message for found in report.findings)
    for hop in report.hops:
        fault = hop.exchange.error
        if fault and hop.exchange.ending in _FAULTY and fault not in reported:
            out.print(one_line(f"  {hop.name}: the body stopped: {fault}"))


def _row(hop: Hop) -> tuple[str, ...]:
    row = hop_metrics(hop)
    hold, per_read = row["hold_ms"], row["events_per_read"]
    assert isinstance(per_read, dict)
    held = "-"
    if isinstance(hold, dict):
        about = "" if hop.exact else "~"
        held = f"{about}{hold['p50']:.1f} / {hold['p99']:.1f} ms"
    return (
        hop.name,
        hop.shape.verdict.value,
        _ms(row["headers_ms"]),
        _ms(row["ttft_ms"]),
        held,
        str(row["events"]),
        f"{per_read['p50']}, max {per_read['max']}",
        ", ".join(hop.intermediaries) or "-",
    )


def _ms(value: object) -> str:
    return f"{value:.1f} ms" if isinstance(value, float) else "-"


def print_finding(found: Finding, out: Console) -> None:
    """Print a finding with its fix."""
    out.print(f"{found.severity.value} {found.code}", style=_COLOURS[found.severity], end=" ")
    out.print(f"{found.slug} at {one_line(found.hop)}")
    out.print(f"  {one_line(found.message)}")
    if found.fix is not None:
        first, *more = found.fix.text.splitlines() or [""]
        lead = f"  fix ({found.fix.where}): "
        out.print(lead + first, style="green")
        for line in more:
            out.print(" " * len(lead) + line, style="green")
    if found.severity is not Severity.INFO:
        out.print(f"  more: undam explain {found.code}", style="dim")


def _print_suspects(suspects: Sequence[Suspect], out: Console) -> None:
    if len(suspects) == 1 and suspects[0].signed:
        return  # the table already names the only suspect; the finding has the fix
    if suspects:
        out.print("  suspects, the most likely first:")
    for number, suspect in enumerate(suspects, 1):
        title = title_of(suspect.name)
        name = title if title == suspect.name else f"{title} ({suspect.name})"
        out.print(f"    {number}. {one_line(name)}: {one_line('; '.join(suspect.evidence))}")
        for line in suspect.fix.text.splitlines() if suspect.fix is not None else ():
            out.print(f"       {line}", style="green")


def _limits_text(limits: PathLimits) -> str:
    tried = f"silence up to {limits.tried_s:g} s:"
    if limits.drop_between_s is not None:
        low, high = limits.drop_between_s
        return f"{tried} dropped without closing, between {low:g} and {high:g} s"
    parts = []
    if limits.idle_s is not None:
        parts.append(f"cut after {limits.idle_s:.1f} s without a byte (an idle limit)")
    if limits.total_s is not None:
        parts.append(f"cut {limits.total_s:.1f} s after its start (a total limit)")
    return f"{tried} {' and '.join(parts) or 'survived'}"
