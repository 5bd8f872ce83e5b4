"""Tables on the page: metrics, failures, objectives and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from undam.report.chart import Table, table
from undam.report.markup import NO_VALUE, Child, Markup, element, format_count, format_ms, join

# Maximum length of an error message from a server; longer messages are cut.
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
    ("http_version", "HTTP version"),
    ("streams_per_connection", "streams per connection"),
    ("seed", "seed"),
    ("prompts", "prompts"),
    ("unique_prompts", "a new prompt in each request"),
    ("prefix_share", "share of a common prefix"),
    ("input_tokens", "input tokens"),
    ("cached_percent", "of them from the prefix cache (%)"),
    ("reasoning_tokens", "reasoning tokens"),
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
    """Return one statistic of a distribution as table text."""
    value = (summary.get(name) or {}).get(key)
    return NO_VALUE if value is None else format_ms(value)


def metrics_table(summary: Mapping[str, Any]) -> Markup:
    """Return a table of all statistics; one column per distribution, so that it fits on a phone."""
    rows = [
        (key, *(metric(summary, name, key).replace(" ", "\u202f") for name, _ in _METRICS))
        for key in _KEYS
    ]
    rows.append(("values", *(_count_of(summary.get(name) or {}) for name, _ in _METRICS)))
    return _panel(table(Table(("", *(label for _, label in _METRICS)), rows)))


def _count_of(times: Mapping[str, Any]) -> str:
    """Return the number of values, with the number of requests if some requests have no value."""
    count, of = times.get("count"), times.get("of")
    if count is None:
        return NO_VALUE
    if of is None or of == count:
        return format_count(count)
    return f"{format_count(count)} of {format_count(of)}"


def failures(summary: Mapping[str, Any]) -> Markup | None:
    """Return errors and incomplete streams by kind, most frequent first; ``None`` if none."""
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
    parts: list[Child] = [text_table(("kind", "outcome", "requests", "first message"), rows)]
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
    """Return the list of objectives, each with its limit and margin; ``None`` if empty."""
    slos = summary.get("slo") or ()
    return element("ul", *map(_objective, slos), class_="objectives") if slos else None


def _objective(one: Mapping[str, Any]) -> Markup:
    kind = "met" if one["met"] else "missed"
    facts = [f"limit {value_text(one['limit'], one['unit'])}"]
    if one.get("failed_requests"):
        facts.append(f"{format_count(one['failed_requests'])} failed requests are above it")
    elif one["value"] is None:
        facts.append("nothing was measured")
    else:
        facts.append(f"measured {value_text(one['value'], one['unit'])}")
    margin = one.get("margin_percent")
    if margin is not None:
        facts.append(f"margin {margin:+.0f} %")
    if one.get("doubtful"):
        facts.append("the load generator could have changed this")
    return element(
        "li",
        element("b", kind),
        element("span", str(one["slo"]), class_="slo"),
        element("span", ", ".join(facts), class_="facts"),
        class_=kind,
    )


def value_text(value: float, unit: str) -> str:
    """Return an objective's value with its unit, to three or four digits."""
    if unit == "ms":
        return format_ms(value)
    return f"{value:.4g} {unit}".strip() if unit else f"{value:g}"


def limits_of(summary: Mapping[str, Any], name: str) -> list[tuple[str, float]]:
    """Return the text and limit (in ms) of each objective for the named distribution."""
    return [
        (str(one["slo"]), float(one["limit"]))
        for one in summary.get("slo") or ()
        if one["unit"] == "ms" and str(one["slo"]).startswith(f"{name}_")
    ]


def _content(counts: Mapping[str, int]) -> Iterable[tuple[str, object]]:
    """Yield the number of responses with numbered events and with damaged content, if any."""
    if counts.get("checked") or counts.get("damaged"):
        yield "responses with numbered events", counts["checked"]
        yield "responses with damaged content", counts["damaged"]


def conditions(summary: Mapping[str, Any], about: Mapping[str, object]) -> Markup:
    """Return the table of the run's conditions and further counts."""
    known = {**about, **summary}
    named = {name for name, _ in _CONDITIONS} | {"schema", "kind", "command", *summary}
    rows = [(label, known[name]) for name, label in _CONDITIONS if known.get(name) is not None]
    rows += [(name.replace("_", " "), value) for name, value in about.items() if name not in named]
    clock = (summary.get("client") or {}).get("clock")
    if clock is not None:
        rows.append(("timestamps", "kernel" if clock == "kernel" else "load generator"))
    rows += _content(summary.get("integrity") or {})
    facts = join(
        join((element("dt", name), element("dd", _value_text(value)))) for name, value in rows
    )
    return _panel(element("dl", facts, class_="conditions"))


def text_table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Markup:
    """Return a table whose last column may contain long text."""
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
