"""Causes of late tokens by component: the hop, the server, or the load generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undam.report.chart import LEFT, RIGHT, Table, drawing, figure, with_title
from undam.report.markup import (
    NO_VALUE,
    Child,
    Markup,
    element,
    format_count,
    format_ms,
    join,
)

_HOP, _SERVER, _CLIENT = "hop", "server", "client"

# Component that is responsible for each rule category (hundreds digit of the rule code).
_COMPONENTS = {"1": _HOP, "2": _SERVER, "5": _SERVER, "3": _CLIENT, "9": _CLIENT}

_HEIGHT = 42.0
_BAR_TOP, _BAR_HIGH = 10.0, 22.0
# Minimum width of a bar segment, so that small shares remain visible.
_MIN_WIDTH = 2.0


def causes(summary: Mapping[str, Any]) -> Markup:
    """Return a card for each component, and a bar that divides all gaps by kind.

    With the server's own metrics, a fourth card shows where the TTFT was spent.
    """
    components = [_component(one) for one in summary.get("findings", ())]
    cards: tuple[Markup, ...] = (
        _card("The hop sent events together", _HOP in components, _hop_rows(summary)),
        _card("The server was slow", _SERVER in components, _server_rows(summary)),
        _card("The load generator was late", _CLIENT in components, _client_rows(summary)),
    )
    if (server := summary.get("server")) is not None:
        cards += (_ttft_card(server),)
    kinds = [kind for kind in _kinds(summary) if kind[2] > 0]
    return join((element("div", *cards, class_="cards"), _bar(kinds) if kinds else None))


def _kinds(summary: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """Return (CSS class, label, number of gaps) for each kind of gap."""
    gaps = summary.get("itl_ms") or {}
    client = summary.get("client") or {}
    stalls, uncertain = summary.get("stalls", 0), client.get("uncertain_gaps", 0)
    return [
        ("alone", "single event", gaps.get("count", 0) - stalls - uncertain),
        ("stall", "stalls", stalls),
        ("together", "sent together", gaps.get("bounded", 0)),
        ("uncertain", "uncertain: load generator late", uncertain),
    ]


def _component(finding: Mapping[str, Any]) -> str:
    code = str(finding.get("code", ""))
    if code.startswith("UD92"):
        # These findings concern the whole run. Only overload is attributed to a component, the
        # server.
        return _SERVER if code == "UD920" else ""
    return _COMPONENTS.get(code[2:3], "")


def _card(title: str, found: bool, rows: Sequence[tuple[str, str]]) -> Markup:
    state = "see the findings above" if found else "no findings"
    facts = join(join((element("dt", name), element("dd", value))) for name, value in rows)
    return element(
        "section",
        element("h3", title),
        element("p", state, class_="state found" if found else "state"),
        element("dl", facts),
        class_="card",
    )


def _ttft_card(server: Mapping[str, Any]) -> Markup:
    """Return the card with the parts of the mean TTFT, and the part that makes it late."""
    parts = server["ttft_parts_ms"]
    rows = [
        (label, NO_VALUE if parts[name] is None else format_ms(parts[name]))
        for name, label in TTFT_PARTS
    ]
    late = server["late"]
    state = "no part is significant" if late is None else f"mostly {dict(TTFT_PARTS)[late]}"
    facts = join(join((element("dt", name), element("dd", value))) for name, value in rows)
    return element(
        "section",
        element("h3", "Where the mean TTFT was spent"),
        element("p", state, class_="state found" if late else "state"),
        element("dl", facts),
        class_="card",
        id="ttft-parts",
    )


TTFT_PARTS = (
    ("client", "this client, before sending"),
    ("queue", "queue of the server"),
    ("engine", "engine (prefill)"),
    ("hop", "hop and network"),
)
"""Parts of the TTFT with their labels."""


def _hop_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    reads = summary.get("events_per_read") or {}
    return [
        ("events per read, p50", _count_text(reads.get("p50"))),
        ("events per read, p99", _count_text(reads.get("p99"))),
        ("events per read, max", _count_text(reads.get("max"))),
        ("gaps within a read", _count_text((summary.get("itl_ms") or {}).get("bounded"))),
    ]


def _server_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("TTFT p99", _quantile(summary, "ttft_ms")),
        ("ITL p99", _quantile(summary, "itl_ms")),
        ("longest gap", _quantile(summary, "itl_ms", "max")),
        ("stalls", _count_text(summary.get("stalls"))),
    ]


def _client_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    client = summary.get("client") or {}
    late = client.get("late_ms_p99")
    cpu = client.get("cpu_percent")
    return [
        ("read lateness p99", NO_VALUE if late is None else format_ms(late)),
        ("send delay p99", _quantile(summary, "send_delay_ms")),
        ("uncertain gaps", _count_text(client.get("uncertain_gaps"))),
        ("CPU", NO_VALUE if cpu is None else f"{cpu:.0f} %"),
    ]


def _quantile(summary: Mapping[str, Any], name: str, key: str = "p99") -> str:
    value = (summary.get(name) or {}).get(key)
    return NO_VALUE if value is None else format_ms(value)


def _count_text(value: float | None) -> str:
    return NO_VALUE if value is None else format_count(value)


def share(part: int, whole: int) -> str:
    """Return a count and its percentage of ``whole``, which must not be 0."""
    return f"{format_count(part)} ({part / whole:.1%})".replace("%", "\u202f%")


def _bar(kinds: Sequence[tuple[str, str, int]]) -> Markup:
    free = RIGHT - LEFT - _MIN_WIDTH * len(kinds)
    whole = sum(count for _, _, count in kinds)
    parts: list[Child] = []
    keys: list[Child] = []
    x = LEFT
    for name, label, count in kinds:
        width = _MIN_WIDTH + free * count / whole
        caption = f"{label}: {share(count, whole)}"
        box = {"y": _BAR_TOP, "width": width, "height": _BAR_HIGH}
        parts.append(with_title("rect", caption, x=x, class_=f"g-{name}", **box))
        keys.append(
            element("span", element("i", class_=f"key g-{name}"), f" {caption}", class_="legend")
        )
        x += width
    description = "; ".join(f"{label}: {share(count, whole)}" for _, label, count in kinds)
    picture = drawing("gaps", _HEIGHT, "All gaps by kind", description, parts)
    rows = [(label, share(count, whole)) for _, label, count in kinds]
    keys.append(f"All {format_count(whole)} gaps between content events.")
    return figure(picture, join(keys), Table(("gaps", "count"), rows))
