"""The page of a load test: findings first, then its figures, charts and conditions.

One file that asks the network for nothing: its own policy forbids it, and forbids any script.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from undam.record import Measured, Outcome
from undam.report.causes import causes
from undam.report.chart import Table, table
from undam.report.distribution import distribution
from undam.report.gaps import gaps_of
from undam.report.markup import NOTHING, Child, Markup, count, element, escape, figure_ms, join
from undam.report.style import STYLE
from undam.report.timeline import timeline
from undam.report.waterfall import slowest, stalls, waterfall

STALL_MS = 200.0
"""A gap of so much is marked as a stall where the summary names no limit of its own."""

# What a server says is evidence, and its first words suffice.
_MOST_MESSAGE = 300

_KEYS = ("p50", "p90", "p95", "p99", "p99.9", "max", "mean")
_METRICS = (
    ("ttft_ms", "TTFT"),
    ("itl_ms", "ITL"),
    ("tpot_ms", "TPOT"),
    ("e2e_ms", "E2E"),
    ("send_delay_ms", "send delay"),
)


def page(
    summary: Mapping[str, Any],
    requests: Iterable[Measured] = (),
    about: Mapping[str, object] | None = None,
) -> str:
    """One HTML file that needs nothing else.

    Args:
        summary: of `undam bench --json`; what it lacks is shown as a dash.
        requests: as they were measured, warm-up too; without any there are no charts.
        about: the conditions, as the record's header has them. Nobody takes secrets out here: they
            are out before.
    """
    about = about or {}
    all_ = list(requests)
    counted = [one for one in all_ if not one.warmup]
    stall_ms = float(summary.get("stall_ms", STALL_MS))
    title = f"undam bench: {about.get('url', 'a load test')}"
    body = (
        element("h1", title),
        element("p", _sentence(summary), class_="sub"),
        _strip(summary),
        _findings(summary),
        *_charts(summary, all_, counted, stall_ms),
        _section("All figures", element("div", _figures(summary), class_="panel")),
        _failures(counted),
        _section("Conditions", element("div", _conditions(summary, about), class_="panel")),
        element(
            "footer",
            "Times count from the intended start of each request. TTFT ends with the first"
            " non-empty content; ITL is every gap between two content events, none averaged away.",
        ),
    )
    return "<!doctype html>\n" + element(
        "html", _head(title), element("body", element("main", *body)), lang="en"
    )


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


def _section(title: str, *parts: Child) -> Markup:
    return element("section", element("h2", title), *parts)


def _sentence(summary: Mapping[str, Any]) -> str:
    parts = [f"{count(summary.get('requests', 0))} requests"]
    if summary.get("duration_s") is not None:
        parts.append(f"in {summary['duration_s']:.1f} s")
    load = summary.get("load")
    if isinstance(load, str):
        parts.append(f"({load})")
    return " ".join(parts)


def _strip(summary: Mapping[str, Any]) -> Markup:
    failed = summary.get("errors", 0) + summary.get("incomplete", 0)
    tokens = summary.get("tokens_per_second")
    per_second = "events_per_second" if tokens is None else "tokens_per_second"
    cells = (
        ("TTFT p50", _of(summary, "ttft_ms", "p50"), None),
        ("TTFT p99", _of(summary, "ttft_ms", "p99"), None),
        ("ITL p50", _of(summary, "itl_ms", "p50"), None),
        ("ITL p99", _of(summary, "itl_ms", "p99"), None),
        (per_second.replace("_per_second", "/s"), _rate(summary.get(per_second)), None),
        ("requests/s", _rate(summary.get("requests_per_second")), None),
        ("errors + incomplete", count(failed), "bad" if failed else None),
    )
    return element(
        "div",
        *(
            element("div", element("span", name), element("b", value, class_=kind))
            for name, value, kind in cells
        ),
        class_="strip",
    )


def _of(summary: Mapping[str, Any], metric: str, key: str) -> str:
    value = (summary.get(metric) or {}).get(key)
    return NOTHING if value is None else figure_ms(value)


def _rate(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:.1f}" if value < 100 else count(value)


def _findings(summary: Mapping[str, Any]) -> Markup:
    found = summary.get("findings", ())
    rows = [_finding(one) for one in found]
    if not rows:
        calm = join((element("span", "Nothing found", class_="tag"), escape(_CALM)))
        rows = [element("li", calm, class_="clean")]
    return element("ul", *rows, class_="findings", id="findings")


_CALM = "The hop passed every event on, the server kept its pace, and this client was in time."


def _finding(found: Mapping[str, Any]) -> Markup:
    severity = str(found.get("severity", "info"))
    names = " ".join(str(found[key]) for key in ("code", "slug") if found.get(key))
    fix = found.get("fix") or {}
    remedy = None
    if fix:
        remedy = element("pre", f"{fix.get('where', '')}: {fix.get('text', '')}")
    return element(
        "li",
        element("span", severity, class_="tag"),
        escape(str(found.get("message", ""))),
        element("span", names, class_="code"),
        remedy,
        class_=severity if severity in {"error", "warning"} else "info",
    )


def _charts(
    summary: Mapping[str, Any],
    all_: Sequence[Measured],
    counted: Sequence[Measured],
    stall_ms: float,
) -> list[Child]:
    gaps = gaps_of(counted)
    found = sum(len(stalls(one, stall_ms)) for one in counted)
    told = int(summary.get("stalls", found))
    charts: list[Child] = []
    ttft = sorted((one.ttft_ns or 0) / 1e6 for one in counted if one.reads)
    if ttft:
        charts.append(_section("Time to first token", distribution("ttft", "TTFT", ttft)))
    if gaps.count:
        low = gaps.low if gaps.uncertain else ()
        chart = distribution("itl", "ITL", gaps.high, low)
        charts.append(_section("Gaps between tokens", chart))
    if all_:
        charts.append(_section("The run", timeline(all_)))
    charts.append(_section("Who was late", causes(summary, gaps, told)))
    if counted:
        rows = slowest(counted)
        charts.append(_section("The slowest requests", waterfall(rows, stall_ms)))
    return charts


def _figures(summary: Mapping[str, Any]) -> Markup:
    rows = [
        (words, *(_of(summary, name, key) for key in _KEYS), _count_of(summary, name))
        for name, words in _METRICS
    ]
    return table(Table(("", *_KEYS, "count"), rows))


def _count_of(summary: Mapping[str, Any], name: str) -> str:
    value = (summary.get(name) or {}).get("count")
    return NOTHING if value is None else count(value)


def _failures(counted: Sequence[Measured]) -> Markup | None:
    """Errors and incomplete streams by kind and status, the most frequent first."""
    failed = [one for one in counted if one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE}]
    if not failed:
        return None
    groups = Counter((one.outcome.value, one.kind, one.status) for one in failed)
    rows = []
    for (outcome, kind, status), many in groups.most_common():
        said = next(
            (
                one.message
                for one in failed
                if (one.outcome.value, one.kind, one.status) == (outcome, kind, status)
            ),
        )
        rows.append(
            element(
                "tr",
                element("th", kind or outcome, scope="row"),
                element("td", count(many)),
                element("td", outcome),
                element("td", NOTHING if status is None else str(status)),
                element("td", said[:_MOST_MESSAGE], class_="words"),
            )
        )
    names = ("kind", "requests", "outcome", "status", "first message")
    head = element("tr", *(element("th", name, scope="col") for name in names))
    inner = element("table", element("thead", head), element("tbody", *rows))
    return _section("What failed", element("div", inner, class_="panel scroll"))


def _conditions(summary: Mapping[str, Any], about: Mapping[str, object]) -> Markup:
    clock = (summary.get("client") or {}).get("clock")
    rows: list[tuple[str, str]] = [
        (str(name).replace("_", " "), _words(value))
        for name, value in about.items()
        if name not in {"schema", "kind"}
    ]
    if clock is not None:
        rows.append(("receive stamps", f"{clock} clock"))
    rows += [
        (name.replace("_", " "), _words(summary[name]))
        for name in ("heartbeats", "stalls", "tokens_from")
        if summary.get(name) is not None
    ]
    facts = join(join((element("dt", name), element("dd", value))) for name, value in rows)
    return element("dl", facts, class_="conditions")


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
