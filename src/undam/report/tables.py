"""What a load test's page tells in tables: all figures, failures, objectives, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from undam.report.chart import Table, table
from undam.report.markup import NOTHING, Child, Markup, count, element, figure_ms, join

# What a server says is evidence, and its first words suffice.
_MOST_MESSAGE = 300

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
    ("warmup", "warm-up, not counted"),
    ("seed", "seed"),
    ("prompts", "prompts"),
    ("timeout_s", "timeout, s"),
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
    """One figure of one distribution, in words."""
    value = (summary.get(name) or {}).get(key)
    return NOTHING if value is None else figure_ms(value)


def figures(summary: Mapping[str, Any]) -> Markup:
    """Every distribution in a row."""
    rows = []
    for name, words in _METRICS:
        many = (summary.get(name) or {}).get("count")
        cells = (metric(summary, name, key) for key in _KEYS)
        rows.append((words, *cells, NOTHING if many is None else count(many)))
    return _panel(table(Table(("", *_KEYS, "count"), rows)))


def failures(summary: Mapping[str, Any]) -> Markup | None:
    """Errors and incomplete streams by kind, the most frequent first; ``None`` without any."""
    messages = summary.get("messages") or {}
    groups = [
        (many, outcome, kind)
        for outcome, name in (("error", "errors_by_kind"), ("incomplete", "incomplete_by_kind"))
        for kind, many in (summary.get(name) or {}).items()
    ]
    if not groups:
        return None
    groups.sort(key=lambda group: (-group[0], *group[1:]))
    rows = (
        (kind or outcome, outcome, count(many), str(messages.get(kind, ""))[:_MOST_MESSAGE])
        for many, outcome, kind in groups
    )
    parts: list[Child] = [_worded(("kind", "outcome", "requests", "first message"), rows)]
    parts += _asides(summary)
    return _panel(*parts)


def _asides(summary: Mapping[str, Any]) -> Iterable[Markup]:
    statuses = summary.get("failed_by_status") or {}
    if statuses:
        said = ", ".join(f"{count(many)} of status {status}" for status, many in statuses.items())
        yield element("p", f"By status: {said}.", class_="sub")
    asked = summary.get("retry_after") or {}
    if asked.get("count"):
        yield element(
            "p",
            f"{count(asked['count'])} answers asked to be tried again after {asked['min_s']:g} to"
            f" {asked['max_s']:g} s (Retry-After); none was.",
            class_="sub",
        )


def objectives(summary: Mapping[str, Any]) -> Markup | None:
    """What was asked to be kept, and whether it was; ``None`` where nothing was asked."""
    asked = summary.get("slo") or ()
    if not asked:
        return None
    rows = (
        (
            str(one["slo"]),
            "met" if one["met"] else "missed",
            NOTHING if one["value"] is None else f"{one['value']:g} {one['unit']}".strip(),
        )
        for one in asked
    )
    return _panel(table(Table(("objective", "", "measured"), list(rows))))


def conditions(summary: Mapping[str, Any], about: Mapping[str, object]) -> Markup:
    """Under which all this was measured, and what else was counted."""
    known = {**about, **summary}
    named = {name for name, _ in _CONDITIONS} | {"schema", "kind", "command", *summary}
    rows = [(words, known[name]) for name, words in _CONDITIONS if known.get(name) is not None]
    rows += [(name.replace("_", " "), value) for name, value in about.items() if name not in named]
    clock = (summary.get("client") or {}).get("clock")
    if clock is not None:
        rows.append(("receive stamps", f"the {clock}'s" if clock == "kernel" else "this program's"))
    facts = join(join((element("dt", name), element("dd", _words(value)))) for name, value in rows)
    return _panel(element("dl", facts, class_="conditions"))


def _worded(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Markup:
    """A table whose last column is text of any length."""
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


def _words(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return str(value)
