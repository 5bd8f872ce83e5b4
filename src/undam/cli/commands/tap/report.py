"""`undam tap` report as text, as JSON, and as a record."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import undam
from undam.cli.commands.check.text import print_finding
from undam.cli.commands.tap.capture import TapRun
from undam.cli.ui.numbers import plural
from undam.cli.ui.output import sparkline_symbols
from undam.cli.ui.sanitize import one_line
from undam.cli.ui.sparkline import legend, sparkline
from undam.diagnosis.findings.integrity import find_faults
from undam.record import record_lines
from undam.rules import Finding, Severity, Verdict, finding
from undam.rules.model import finding_json
from undam.tap.mask import masked
from undam.tap.proxies import ProxyResult, StreamResult, findings_of
from undam.timing import quantile

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 64
_SEVERE = {Severity.ERROR, Severity.WARNING}
_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


def findings(run: TapRun) -> list[Finding]:
    """Return the findings about all proxies and about the capture, the most severe first."""
    session = run.session
    found: list[Finding] = []
    for proxy in session.proxies.values():
        found += _of_examples(proxy)
        found += find_faults(str(proxy.address), proxy.integrity.total())
        if proxy.zero_windows:
            found.append(finding("UD933", str(proxy.address), zero_windows=proxy.zero_windows))
    for single in session.singles.values():
        if single.address not in session.upstreams and single.results:
            found += findings_of(single.results[0])
    return sorted([*found, *_caveats(run)], key=lambda one: _ORDER[one.severity])


def _of_examples(proxy: ProxyResult) -> list[Finding]:
    """Return the findings about a typical stream and about a held one, each code once."""
    found: dict[str, Finding] = {}
    for example in (proxy.held_example, proxy.example):
        for one in findings_of(example) if example is not None else ():
            found.setdefault(one.code, one)
    return list(found.values())


def _caveats(run: TapRun) -> Iterator[Finding]:
    stats, table = run.session.stats, run.session.table.stats
    if table.lost_bytes or stats.dropped:
        yield finding(
            "UD931", "capture", gaps=table.gaps, lost_bytes=table.lost_bytes, dropped=stats.dropped
        )
    if stats.cut_packets:
        yield finding("UD932", "capture", packets=stats.cut_packets)
    for count, protocol in (
        (table.tls, "TLS"),
        (table.http2, "HTTP/2 (incompletely captured)"),
    ):
        if count:
            yield finding("UD934", "capture", connections=count, protocol=protocol)


def is_clean(run: TapRun) -> bool:
    """Return whether the capture has neither errors nor warnings."""
    return all(one.severity not in _SEVERE for one in findings(run))


def tap_json(run: TapRun) -> dict[str, object]:
    """Return the result in the form of `undam tap --json`."""
    session = run.session
    stats, table = session.stats, session.table.stats
    return {
        "schema": 1,
        "command": "tap",
        "source": run.source,
        "problems": _problems(run),
        "clocks": [
            {
                "file": name,
                "offset_ms": round(one.offset_ns / 1e6, 3),
                "uncertainty_ms": round(one.uncertainty_ns / 1e6, 3),
            }
            for name, one in run.offsets.items()
        ],
        "packets": stats.packets,
        "packets_without_tcp": stats.other_packets,
        "lost": stats.dropped + table.gaps,
        "lost_bytes": table.lost_bytes,
        "streams": stats.streams,
        "streams_skipped": stats.skipped,
        "responses_passed_over": table.passed_over,
        "connections_not_decoded": {"tls": table.tls, "http2": table.http2},
        "proxies": [_proxy_json(one) for one in _ordered(run)],
        "servers": [
            {
                "address": str(one.address),
                "streams": one.streams,
                "verdict": one.results[0].shape.verdict.value if one.results else "unknown",
                "upstream": one.address in session.upstreams,
            }
            for one in session.singles.values()
        ],
        "findings": [finding_json(one) for one in findings(run)],
    }


def _problems(run: TapRun) -> list[str]:
    """Return why parts of the capture were not analyzed."""
    session = run.session
    problems = list(run.problems)
    for link_type, count in session.stats.unknown_links.items():
        problems.append(
            f"{plural(count, 'packet')} with the link type {link_type} cannot be decoded; capture "
            f"on another interface, or with tcpdump -i any"
        )
    step_ns = session.table.stats.clock_step_ns
    if step_ns:
        problems.append(
            f"the clock of the capture was set back by {step_ns / 1e9:.1f} s; results for the "
            f"streams of that time may be missing or wrong"
        )
    return problems


def _ordered(run: TapRun) -> list[ProxyResult]:
    return sorted(run.session.proxies.values(), key=lambda one: (-one.streams, str(one.address)))


def _proxy_json(one: ProxyResult) -> dict[str, object]:
    return {
        "address": str(one.address),
        "process": one.process,
        "streams": one.streams,
        "verdict": one.verdict.value,
        "verdicts": {verdict.value: count for verdict, count in one.verdicts.items()},
        "held_streams": one.held_streams,
        "hold_ms": _quantiles(one.holds_ns),
        "release_bytes": one.release_bytes,
        "release_every_ms": round(quantile(sorted(one.periods_ms), 0.5), 1)
        if one.periods_ms
        else None,
        "ttft_in_ms": _quantiles(one.ttft_in_ns),
        "ttft_out_ms": _quantiles(one.ttft_out_ns),
        "heartbeats": {"in": one.heartbeats_in, "out": one.heartbeats_out},
        "cancels": {"passed_on_ms": _quantiles(one.cancels_ns), "ignored": one.cancels_ignored},
        "cuts": dict(one.cuts),
        "retransmitted": one.retransmitted,
        "zero_windows": one.zero_windows,
        "streams_with_missing_packets": one.incomplete,
        "integrity": one.integrity.as_json(),
        "estimated": one.estimated,
    }


def _quantiles(values_ns: Sequence[int]) -> dict[str, float] | None:
    if not values_ns:
        return None
    ordered = sorted(values_ns)
    names = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: round(quantile(ordered, q) / 1e6, 3) for name, q in names.items()}


def record_of(run: TapRun, *, keep_bodies: bool) -> Iterator[str]:
    """Yield record lines with a typical stream of the proxy that holds streams the longest.

    Both sides of the proxy are hops, innermost first, as in the record of a check.

    Args:
        keep_bodies: keep the text of the streams; otherwise placeholders of equal size.
    """
    found = [one for one in _ordered(run) if one.example is not None]
    found.sort(key=lambda one: one.held_example is None)
    exchanges = []
    if found and (example := found[0].held_example or found[0].example) is not None:
        legs = [leg for leg in (example.inner, example.outer) if leg is not None]
        exchanges = [leg.reading.exchange if keep_bodies else masked(leg.reading) for leg in legs]
    about: Mapping[str, object] = {
        # `undam report` analyzes this record in the same way as the record of a check.
        "command": "check",
        "source": f"undam tap: {run.source}",
        "undam": undam.__version__,
        "python": platform.python_version(),
    }
    return record_lines(exchanges, about)


def print_tap(run: TapRun, out: Console) -> None:
    """Print the verdict, a picture and metrics for each proxy, and the findings with fixes."""
    stats, table = run.session.stats, run.session.table.stats
    proxies = _ordered(run)
    _print_verdict(run, proxies, out)
    for one in proxies:
        out.print()
        _print_proxy(one, out)
    for found in findings(run):
        out.print()
        print_finding(found, out)
    out.print()
    summary = (
        f"{plural(stats.packets, 'packet')}, {plural(stats.streams, 'stream')}, "
        f"{plural(table.passed_over, 'other response')} passed over; {run.source}"
    )
    out.print(one_line(summary), style="dim")
    for name, offset in run.offsets.items():
        text = (
            f"the clock of {name} differs by {offset.offset_ns / 1e6:.3f} ms"
            f" (± {offset.uncertainty_ns / 1e6:.3f} ms); its times were corrected"
        )
        out.print(one_line(text), style="dim")
    for problem in _problems(run):
        out.print(one_line(f"note: {problem}"), style="yellow")
    if stats.skipped:
        out.print(f"note: {plural(stats.skipped, 'stream')} beyond --max-streams not analyzed")


def _print_verdict(run: TapRun, proxies: Sequence[ProxyResult], out: Console) -> None:
    holding = [one for one in proxies if one.held_example is not None]
    measured = [one for one in proxies if one.verdict is not Verdict.UNKNOWN]
    if holding:
        names = ", ".join(f"{_name(one)}{_share_of(one)}" for one in holding)
        out.print("HELD", style="bold red", end="  ")
        out.print(one_line(f"by {names}"))
    elif measured:
        out.print("STREAMING", style="bold green", end="  ")
        streams = sum(one.verdicts[Verdict.STREAMING] for one in measured)
        out.print(
            f"{plural(len(measured), 'proxy')} forwarded {plural(streams, 'stream')} without a hold"
        )
    else:
        out.print("UNKNOWN", style="bold yellow", end="  ")
        out.print(one_line(_why_unknown(run, proxies)))


def _share_of(one: ProxyResult) -> str:
    """Return how many streams a proxy held, if it did not hold all of them."""
    if one.held_streams == one.streams:
        return ""
    return f" in {one.held_streams} of {plural(one.streams, 'stream')}"


def _why_unknown(run: TapRun, proxies: Sequence[ProxyResult]) -> str:
    session = run.session
    if not session.stats.packets:
        return "no packet was captured; check the ports, and that streams run during the capture"
    reasons = [one.example.shape.reason for one in proxies if one.example is not None]
    if reasons:
        return reasons[0]
    if session.singles:
        return (
            "each stream was captured on one connection only; capture on the proxy's host, with "
            "the port of the proxy and the port of its upstream"
        )
    if session.stats.other_packets == session.stats.packets:
        return "the capture contains no TCP packet that can be decoded"
    return "the capture contains no stream of events over unencrypted HTTP"


def _name(one: ProxyResult) -> str:
    process = f" ({one.process})" if one.process else ""
    return f"{one.address}{process}"


def _print_proxy(one: ProxyResult, out: Console) -> None:
    counts = ", ".join(f"{count} {verdict.value}" for verdict, count in one.verdicts.items())
    mixed = f" ({counts})" if len(one.verdicts) > 1 else ""
    streams = plural(one.streams, "stream")
    out.print(one_line(f"{_name(one)}: {one.verdict.value}, {streams}{mixed}"))
    if one.example is not None:
        _print_picture("typical", one.example, out)
    if one.worst is not None and one.worst is not one.example:
        _print_picture("worst", one.worst, out)
    holds, ttft_in, ttft_out = map(_quantiles, (one.holds_ns, one.ttft_in_ns, one.ttft_out_ns))
    if holds:
        about = "about " if one.estimated else ""
        out.print(
            f"  hold p50 {about}{holds['p50']:.1f} ms, p99 {holds['p99']:.1f} ms,"
            f" max {holds['max']:.1f} ms"
        )
    if ttft_in and ttft_out:
        out.print(
            f"  TTFT p50 {ttft_in['p50']:.1f} ms before, {ttft_out['p50']:.1f} ms after the proxy"
        )
    if one.heartbeats_in:
        out.print(f"  heartbeats: {one.heartbeats_in} before, {one.heartbeats_out} after the proxy")
    if one.cuts:
        cuts = ", ".join(f"{count} by the {who}" for who, count in one.cuts.items())
        out.print(f"  streams that ended early: {cuts}")
    cancels = _quantiles(one.cancels_ns)
    if cancels:
        out.print(f"  client disconnects reached the origin after {cancels['p50']:.1f} ms (p50)")
    if one.cancels_ignored:
        out.print(f"  client disconnects that did not reach the origin: {one.cancels_ignored}")
    faults = ", ".join(f"{count} {kind}" for kind, count in one.integrity.counts.items())
    if faults:
        out.print(f"  events: {faults}, of {one.integrity.sent}", style="red")


def pictures_of(run: TapRun) -> dict[str, dict[str, list[float]]]:
    """Return the event times of a typical stream of each proxy, for the HTML page."""
    return {
        str(one.address): _times_of(one.example)
        for one in run.session.proxies.values()
        if one.example is not None
    }


def _times_of(result: StreamResult) -> dict[str, list[float]]:
    """Return the event times before and after the proxy, in ms since the client's request."""
    legs = {"in": result.inner, "out": result.outer}
    start = result.outer.stream.sent_ns
    return {
        name: [(at - start) / 1e6 for at in leg.times]
        for name, leg in legs.items()
        if leg is not None
    }


def _print_picture(title: str, result: StreamResult, out: Console) -> None:
    times = _times_of(result)
    end = max((some[-1] for some in times.values() if some), default=0.0)
    if end <= 0:
        return
    signs = sparkline_symbols(out)
    out.print(f"  {title} stream, from the request:", style="dim")
    for name, some in times.items():
        out.print(f"    {name:<3} |{sparkline(some, end, _WIDTH, signs)}|")
    out.print(f"         {legend(end, _WIDTH, signs)}", style="dim")
