"""Page on a load test: findings first, then metrics, charts and conditions.

The page loads nothing from the network and runs no script. Its Content-Security-Policy forbids
both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undam.record import RequestResult
from undam.report.causes import causes
from undam.report.curve import bounds_of, curve_of
from undam.report.distribution import distribution
from undam.report.markup import NO_VALUE, Child, Markup, element, format_count, join
from undam.report.rates import rates
from undam.report.server import server_chart
from undam.report.style import STYLE
from undam.report.tables import (
    conditions,
    failures,
    limits_of,
    metric,
    metrics_table,
    objectives,
)
from undam.report.timeline import timeline
from undam.report.waterfall import slowest, waterfall

STALL_MS = 250.0
"""Default limit for stalls, used if the summary has none."""

_NO_FINDINGS = (
    "The hop delivered every event at once, the server did not pause, and the load generator was on"
    " time."
)
_DEFINITIONS = (
    "Times count from the intended start of each request. TTFT ends with the first non-empty"
    " content. ITL is the distribution of all gaps between content events, without averaging."
)


def render_page(
    summary: Mapping[str, Any],
    requests: Iterable[RequestResult] = (),
    about: Mapping[str, object] | None = None,
) -> str:
    """Return the page on a load test as one self-contained HTML file.

    Args:
        summary: result of `undam bench --json`; missing values are omitted or shown as a dash.
        requests: all requests including warm-up, for a timeline with each of them; or only the
            slowest, for the waterfall.
        about: further conditions, such as the header of a record, with secrets already redacted.
    """
    about = about or {}
    title = f"undam bench: {summary.get('url') or about.get('url') or 'a load test'}"
    sections = (
        *_charts(summary, list(requests)),
        ("All metrics", metrics_table(summary)),
        ("Failures", failures(summary)),
        ("Conditions", conditions(summary, about)),
    )
    return document(
        title,
        element("p", _sentence(summary), class_="sub"),
        _validity(summary),
        objectives(summary),
        _strip(summary),
        _findings(summary),
        *(section(name, part) for name, part in sections if part is not None),
    )


def document(title: str, *parts: Child, footer: str = _DEFINITIONS) -> str:
    """Return a page with the given parts as one self-contained HTML file.

    Args:
        footer: definitions of the quantities on the page.
    """
    main = element("main", element("h1", title), *parts, element("footer", footer))
    return "<!doctype html>\n" + element("html", _head(title), element("body", main), lang="en")


def _head(title: str) -> Markup:
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", STYLE),
    )


def section(title: str, *parts: Child) -> Markup:
    """Return a section with a heading."""
    return element("section", element("h2", title), *parts)


def _distributions(
    summary: Mapping[str, Any], counted: Sequence[RequestResult]
) -> list[tuple[str, Markup | None]]:
    """Return the TTFT and ITL charts; bounds for gaps are shown only if all requests are given."""
    ttft, itl = curve_of(summary, "ttft"), curve_of(summary, "itl")
    is_uncertain = (summary.get("client") or {}).get("uncertain_gaps", 0) > 0
    bounds = bounds_of(counted) if is_uncertain else None
    return [
        (
            "Time to first token",
            None
            if ttft is None
            else distribution("ttft", "TTFT", ttft, limits=limits_of(summary, "ttft")),
        ),
        (
            "Gaps between tokens",
            None
            if itl is None
            else distribution("itl", "ITL", itl, bounds, limits_of(summary, "itl")),
        ),
    ]


def _charts(
    summary: Mapping[str, Any], requests: Sequence[RequestResult]
) -> list[tuple[str, Markup | None]]:
    counted = [one for one in requests if not one.warmup]
    are_all = len(counted) >= summary.get("requests", 0)
    stall_ms = float(summary.get("stall_ms", STALL_MS))
    rows = waterfall(slowest(counted), stall_ms) if counted else None
    return [
        *_distributions(summary, counted if are_all else ()),
        ("Timeline", timeline(summary, requests if are_all else ())),
        ("Offered and served load", rates(summary)),
        ("The server", server_chart(summary)),
        ("Causes", causes(summary)),
        ("Slowest requests, by E2E", rows),
    ]


def _sentence(summary: Mapping[str, Any]) -> str:
    text = f"{format_count(summary.get('requests', 0))} requests"
    if summary.get("duration_s") is not None:
        text += f" in {summary['duration_s']:.1f} s"
    load = summary.get("load")
    return f"{text}, {load}" if isinstance(load, str) else text


def _validity(summary: Mapping[str, Any]) -> Markup | None:
    """Return a statement on the validity of the results; ``None`` if the summary contains none."""
    if "valid" not in summary:
        return None
    caveats = summary.get("caveats") or ()
    limiting = [str(one["code"]) for one in caveats if one["severity"] != "info"]
    if limiting:
        verdict = f"Not valid without these caveats: {', '.join(limiting)}."
        return element("p", verdict, class_="validity bad")
    return element("p", "Valid: no caveat limits what these results mean.", class_="validity good")


def _strip(summary: Mapping[str, Any]) -> Markup:
    failed = summary.get("errors", 0) + summary.get("incomplete", 0)
    steady = summary.get("steady") or {}
    is_steady = steady.get("requests_per_second") is not None
    rates_of = steady if is_steady else summary
    good = summary.get("goodput_percent")
    cells = (
        ("TTFT p50", metric(summary, "ttft_ms", "p50"), None),
        ("TTFT p99", metric(summary, "ttft_ms", "p99"), None),
        ("ITL p50", metric(summary, "itl_ms", "p50"), None),
        ("ITL p99", metric(summary, "itl_ms", "p99"), None),
        ("tokens/s" + ", steady" * is_steady, _rate(rates_of.get("tokens_per_second")), None),
        ("requests/s" + ", steady" * is_steady, _rate(rates_of.get("requests_per_second")), None),
        ("goodput", NO_VALUE if good is None else f"{good:.4g} %", None),
        ("failed", format_count(failed), "bad" if failed else None),
    )
    return element(
        "div",
        *(
            element("div", element("span", name), element("b", value, class_=kind))
            for name, value, kind in cells
        ),
        class_="strip",
    )


def _rate(value: float | None) -> str:
    if value is None:
        return NO_VALUE
    return f"{value:.1f}" if value < 100 else format_count(value)


def _findings(summary: Mapping[str, Any]) -> Markup:
    rows = [*_notices(summary), *(finding_of(one) for one in summary.get("findings", ()))]
    if not rows:
        rows = [finding_row("clean", "No findings", _NO_FINDINGS)]
    return element("ul", *rows, class_="findings", id="findings")


def _notices(summary: Mapping[str, Any]) -> Iterable[Markup]:
    """Return notices about metrics that cover only part of the run."""
    if summary.get("interrupted"):
        yield finding_row("warning", "interrupted", "The run was stopped before its end.")
    damaged = (summary.get("damage") or {}).get("lines", 0)
    if damaged:
        message = f"Damaged lines of the record that were left out: {damaged}."
        yield finding_row("warning", "damaged", message)
    for one in summary.get("lost_workers") or ():
        message = f"Worker {one['worker']} was lost after {one['at_s']:g} s ({one['why']}); "
        message += f"{one['missing_percent']:g} % of the load is missing."
        yield finding_row("error", "lost", message)


def finding_of(found: Mapping[str, Any]) -> Markup:
    """Render one finding of a result as an HTML list item."""
    severity = str(found.get("severity", "info"))
    names = " ".join(str(found[key]) for key in ("code", "slug") if found.get(key))
    fix = found.get("fix") or {}
    remedy = element("pre", f"{fix['where']}: {fix['text']}") if fix else None
    kind = severity if severity in {"error", "warning"} else "info"
    return finding_row(kind, severity, str(found.get("message", "")), names, remedy)


def finding_row(
    kind: str, tag: str, message: str, names: str = "", remedy: Markup | None = None
) -> Markup:
    """Return a list item for a finding.

    Args:
        kind: CSS class: error, warning, info or clean.
        tag: short text at the beginning.
        names: code and slug of the rule.
    """
    code = element("span", names, class_="code") if names else None
    return element(
        "li", join([element("span", tag, class_="tag"), message]), code, remedy, class_=kind
    )
