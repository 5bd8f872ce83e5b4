"""The three causes of a late token apart: what the hop did, the server, and this client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undam.report.chart import LEFT, RIGHT, Table, drawing, figure, text, with_title
from undam.report.gaps import Gaps
from undam.report.markup import NOTHING, Child, Markup, count, element, escape, figure_ms, join

_HOP, _SERVER, _CLIENT = "hop", "server", "client"

# The hundreds digit of a rule's code is the knob that it turns on.
_BLAMED = {"1": _HOP, "2": _SERVER, "5": _SERVER, "3": _CLIENT, "9": _CLIENT}

_HEIGHT = 66.0
_BAR_TOP, _BAR_HIGH = 10.0, 22.0
# About the width of a letter, for words side by side.
_LETTER = 6.0
# A share that is there is shown, however small.
_LEAST_WIDTH = 2.0


def causes(summary: Mapping[str, Any], gaps: Gaps, stalls: int) -> Markup:
    """Three cards, and a bar of all gaps by what is known of them."""
    blamed = [_blamed(one) for one in summary.get("findings", ())]
    cards = (
        _card("The hop sent events together", _HOP in blamed, _hop_rows(summary, gaps)),
        _card("The server was slow", _SERVER in blamed, _server_rows(summary, stalls)),
        _card("This client was late", _CLIENT in blamed, _client_rows(summary)),
    )
    bar = _bar(gaps, stalls) if gaps.count else None
    return join((element("div", *cards, class_="cards"), bar))


def _blamed(finding: Mapping[str, Any]) -> str:
    code = str(finding.get("code", ""))
    return _BLAMED.get(code[2:3], "")


def _card(title: str, found: bool, rows: Sequence[tuple[str, str]]) -> Markup:
    state = "found: see above" if found else "nothing found"
    facts = join(join((element("dt", name), element("dd", value))) for name, value in rows)
    return element(
        "section",
        element("h3", title),
        element("p", state, class_="state found" if found else "state"),
        element("dl", facts),
        class_="card",
    )


def _hop_rows(summary: Mapping[str, Any], gaps: Gaps) -> list[tuple[str, str]]:
    reads = summary.get("events_per_read") or {}
    return [
        ("events per read, p50", _plain(reads.get("p50"))),
        ("events per read, p99", _plain(reads.get("p99"))),
        ("most in one read", _plain(reads.get("max"))),
        ("gaps within a read", share(gaps.together, gaps.count)),
    ]


def _server_rows(summary: Mapping[str, Any], stalls: int) -> list[tuple[str, str]]:
    return [
        ("TTFT p99", _quantile(summary, "ttft_ms")),
        ("ITL p99", _quantile(summary, "itl_ms")),
        ("longest gap", _quantile(summary, "itl_ms", "max")),
        ("stalls", count(stalls)),
    ]


def _client_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    client = summary.get("client") or {}
    late = client.get("late_ms_p99")
    cpu = client.get("cpu_percent")
    return [
        ("reads late, p99", NOTHING if late is None else figure_ms(late)),
        ("send delay p99", _quantile(summary, "send_delay_ms")),
        ("uncertain gaps", _plain(client.get("uncertain_gaps"))),
        ("its processor", NOTHING if cpu is None else f"{cpu:.0f} %"),
    ]


def _quantile(summary: Mapping[str, Any], name: str, key: str = "p99") -> str:
    value = (summary.get(name) or {}).get(key)
    return NOTHING if value is None else figure_ms(value)


def _plain(value: float | None) -> str:
    return NOTHING if value is None else count(value)


def share(part: int, whole: int) -> str:
    """A count with its share of the whole."""
    if not whole:
        return NOTHING
    return f"{count(part)} ({part / whole:.1%})".replace("%", "\u202f%")


def _bar(gaps: Gaps, stalls: int) -> Markup:
    kinds = (
        ("alone", "an event by itself", max(0, gaps.alone - stalls)),
        ("stall", "stalls", stalls),
        ("together", "sent together", gaps.together),
        ("uncertain", "uncertain: client late", gaps.uncertain),
    )
    there = [kind for kind in kinds if kind[2]]
    free = RIGHT - LEFT - _LEAST_WIDTH * len(there)
    whole = sum(number_ for _, _, number_ in there)
    parts: list[Child] = []
    x, label_x = LEFT, LEFT
    for name, words, number_ in there:
        width = _LEAST_WIDTH + free * number_ / whole
        said = f"{words}: {share(number_, whole)}"
        parts.append(
            with_title(
                "rect", said, x=x, y=_BAR_TOP, width=width, height=_BAR_HIGH, class_=f"g-{name}"
            )
        )
        parts.append(
            element("rect", x=label_x, y=_HEIGHT - 20, width=10, height=10, class_=f"g-{name}")
        )
        parts.append(text(label_x + 15, _HEIGHT - 11, said, class_="tick"))
        x, label_x = x + width, label_x + 15 + _LETTER * len(said) + 22
    said = "; ".join(f"{words}: {share(number_, whole)}" for _, words, number_ in there)
    picture = drawing("gaps", _HEIGHT, "All gaps by what is known of them", said, parts)
    rows = [(words, count(number_), share(number_, whole)) for _, words, number_ in there]
    return figure(
        picture,
        escape(f"All {count(whole)} gaps between content events."),
        Table(("gaps", "count", "share"), [(a, c) for a, _, c in rows]),
    )
