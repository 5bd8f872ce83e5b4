"""Tables of the page: metrics, failures, objectives, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from undam.report.chart import Table, table
from undam.report.markup import NO_VALUE, Child, Markup, element, format_count, format_ms, join

# Maximum length of a server's message.
_MAX_MESSAGE = 300

_KEYS = ("min", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")
_METRICS = (
    ("ttft_ms", "TTFT"),
    ("itl_ms", "ITL"),
    ("tpot_ms", "TPOT"),
    ("e2e_ms", "E2E"),
    ("send_delay_ms", "send delay"),
)
_CONDITIONS = (
    ("url", "url"),
    ("api", "API"),
    ("model", "model"),
    ("load", "load"),
    ("workers", "workers"),
    ("warmup", "warm-up (excluded)"),
    ("seed", "seed"),
    ("prompts", "prompts"),
    ("timeout_s", "timeout (s)"),
    ("tokens_from", "tokens counted from"),
    ("heartbeats", "heartbeats"),
    ("empties", "role chunks and empty deltas"),
    ("abandoned", "abandoned at the end"),
    ("undam", "undam"),
    ("python", "Python"),
    ("system", "system"),
    ("host", "host"),
)


def metric(summary: Mapping[str, Any], name: str, key: str) -> str:
    """Return one statistic of a distribution as text."""
    value = (summary.get(name) or {}).get(key)
    return NO_VALUE if value is None else format_ms(value)


def metrics_table(summary: Mapping[str, Any]) -> Markup:
    """Return all statistics, one row per distribution."""
    rows = []
    for name, label in _METRICS:
        number = (summary.get(name) or {}).get("count")
        cells = (metric(summary, name, key) for key in _KEYS)
        rows.append((label, *cells, NO_VALUE if number is None else format_count(number)))
    return _panel(table(Table(("", *_KEYS, "count"), rows)))


def failures(summary: Mapping[str, Any]) -> Markup | None:
    """Return errors and incomplete streams by kind, most frequent first; ``None`` without any."""
    messages = summary.get("messages") or {}
    groups = [
        (number, outcome, kind)
        for outcome, name in (("error", "errors_by_kind"), ("incomplete", "incomplete_by_kind"))
        for kind, number in (summary.get(name) or {}).items()
    ]
    if not groups:
        return None
    groups.sort(key=lambda group: (-group[0], *group[1:]))
    rows = (
        (kind or outcome, outcome, format_count(number), str(messages.get(kind, ""))[:_MAX_MESSAGE])
        for number, outcome, kind in groups
    )
    parts: list[Child] = [_text_table(("kind", "outcome", "requests", "first message"), rows)]
    parts += _failure_notes(summary)
    return _panel(*parts)


def _failure_notes(summary: Mapping[str, Any]) -> Iterable[Markup]:
    statuses = summary.get("failed_by_status") or {}
    if statuses:
        listed = ", ".join(
            f"{format_count(n)} of status {status}" for status, n in statuses.items()
        )
        yield element("p", f"By status: {listed}.", class_="sub")
    retry = summary.get("retry_after") or {}
    if retry.get("count"):
        yield element(
            "p",
            f"{format_count(retry['count'])} responses had a Retry-After of {retry['min_s']:g} to"
            f" {retry['max_s']:g} s. The load generator did not retry.",
            class_="sub",
        )


def objectives(summary: Mapping[str, Any]) -> Markup | None:
    """Return the objectives and whether they are met; ``None`` if there are none."""
    slos = summary.get("slo") or ()
    if not slos:
        return None
    rows = (
        (
            str(one["slo"]),
            "met" if one["met"] else "missed",
            NO_VALUE if one["value"] is None else f"{one['value']:g} {one['unit']}".strip(),
        )
        for one in slos
    )
    return _panel(table(Table(("objective", "", "measured"), list(rows))))


def conditions(summary: Mapping[str, Any], about: Mapping[str, object]) -> Markup:
    """Return the conditions of the run and further counts."""
    known = {**about, **summary}
    named = {name for name, _ in _CONDITIONS} | {"schema", "kind", "command", *summary}
    rows = [(label, known[name]) for name, label in _CONDITIONS if known.get(name) is not None]
    rows += [(name.replace("_", " "), value) for name, value in about.items() if name not in named]
    clock = (summary.get("client") or {}).get("clock")
    if clock is not None:
        rows.append(("timestamps", "kernel" if clock == "kernel" else "load generator"))
    facts = join(
        join((element("dt", name), element("dd", _value_text(value)))) for name, value in rows
    )
    return _panel(element("dl", facts, class_="conditions"))


def _text_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Markup:
    """Return a table whose last column is text of any length."""
    names = [element("th", name, scope="col") for name in head[:-1]]
    names.append(element("th", head[-1], scope="col", class_="words"))
    body = (
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(element("td", cell) for cell in row[1:-1]),
            element("td", row[-1], class_="words"),
        )
        for row in rows
    )
    inner = element("table", element("thead", element("tr", *names)), element("tbody", *body))
    return element("div", inner, class_="scroll")


def _panel(*parts: Child) -> Markup:
    return element("div", *parts, class_="panel")


def _value_text(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
