"""The three causes of a late token apart: what the hop did, the server, and this client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undam.report.chart import LEFT, RIGHT, Table, drawing, figure, text, with_title
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


def causes(summary: Mapping[str, Any]) -> Markup:
    """Three cards, and a bar of all gaps by what is known of them."""
    blamed = [_blamed(one) for one in summary.get("findings", ())]
    cards = (
        _card("The hop sent events together", _HOP in blamed, _hop_rows(summary)),
        _card("The server was slow", _SERVER in blamed, _server_rows(summary)),
        _card("This client was late", _CLIENT in blamed, _client_rows(summary)),
    )
    kinds = [kind for kind in _kinds(summary) if kind[2] > 0]
    return join((element("div", *cards, class_="cards"), _bar(kinds) if kinds else None))


def _kinds(summary: Mapping[str, Any]) -> list[tuple[str, str, int]]:
    """All gaps by what is known of them: (class, words, how many)."""
    gaps = summary.get("itl_ms") or {}
    client = summary.get("client") or {}
    stalls, uncertain = summary.get("stalls", 0), client.get("uncertain_gaps", 0)
    return [
        ("alone", "an event by itself", gaps.get("count", 0) - stalls - uncertain),
        ("stall", "stalls", stalls),
        ("together", "sent together", gaps.get("bounded", 0)),
        ("uncertain", "uncertain: client late", uncertain),
    ]


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


def _hop_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    reads = summary.get("events_per_read") or {}
    return [
        ("events per read, p50", _plain(reads.get("p50"))),
        ("events per read, p99", _plain(reads.get("p99"))),
        ("most in one read", _plain(reads.get("max"))),
        ("gaps within a read", _plain((summary.get("itl_ms") or {}).get("bounded"))),
    ]


def _server_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("TTFT p99", _quantile(summary, "ttft_ms")),
        ("ITL p99", _quantile(summary, "itl_ms")),
        ("longest gap", _quantile(summary, "itl_ms", "max")),
        ("stalls", _plain(summary.get("stalls"))),
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
    """A count with its share of the whole, which is not 0."""
    return f"{count(part)} ({part / whole:.1%})".replace("%", "\u202f%")


def _bar(kinds: Sequence[tuple[str, str, int]]) -> Markup:
    free = RIGHT - LEFT - _LEAST_WIDTH * len(kinds)
    whole = sum(many for _, _, many in kinds)
    parts: list[Child] = []
    x, label_x = LEFT, LEFT
    for name, words, many in kinds:
        width = _LEAST_WIDTH + free * many / whole
        said = f"{words}: {share(many, whole)}"
        box = {"y": _BAR_TOP, "width": width, "height": _BAR_HIGH}
        parts.append(with_title("rect", said, x=x, class_=f"g-{name}", **box))
        key = {"y": _HEIGHT - 20, "width": 10.0, "height": 10.0}
        parts.append(element("rect", x=label_x, class_=f"g-{name}", **key))
        parts.append(text(label_x + 15, _HEIGHT - 11, said, class_="tick"))
        x, label_x = x + width, label_x + 15 + _LETTER * len(said) + 22
    said = "; ".join(f"{words}: {share(many, whole)}" for _, words, many in kinds)
    picture = drawing("gaps", _HEIGHT, "All gaps by what is known of them", said, parts)
    rows = [(words, share(many, whole)) for _, words, many in kinds]
    caption = escape(f"All {count(whole)} gaps between content events.")
    return figure(picture, caption, Table(("gaps", "count"), rows))
