"""Service level objectives: `ttft_p99<500ms`, `errors<1%`, `goodput>=95%`. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from undam.errors import UsageError

Unit = Literal["ms", "%", "", "/s"]

ACCEPTED = (
    "TIME_STAT<500ms (TIME: ttft, itl, tpot, e2e, send_delay; STAT: p50, p99.9, mean, max, …), "
    "errors<1%, incomplete<5, goodput>=95%, requests_per_second>=10, tokens_per_second>=100"
)
"""Forms that `parse_slo` accepts, for messages."""

TIMES = ("ttft", "itl", "tpot", "e2e", "send_delay")
COUNTS = ("errors", "incomplete")
RATES = ("requests_per_second", "tokens_per_second", "events_per_second")

_FORM = re.compile(
    r"\s*(?P<name>[a-z_0-9]+?)(?:_(?P<stat>p\d{1,2}(?:\.\d{1,4})?|p100|mean|min|max))?"
    r"\s*(?P<sign><=|>=|<|>)\s*(?P<value>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|us|%|/s)?\s*"
)
_TO_MS = {"ms": 1.0, "s": 1000.0, "us": 0.001}


@dataclass(frozen=True, slots=True)
class Slo:
    """One objective.

    Args:
        text: the objective as the user wrote it.
        name: name of a time, count or rate, or "goodput".
        stat: statistic of a time: "p99", "mean", …; otherwise "".
        sign: comparison operator.
        limit: threshold in ``unit``.
    """

    text: str
    name: str
    stat: str
    sign: str
    limit: float
    unit: Unit

    def holds(self, value: float) -> bool:
        """Return whether ``value`` meets the objective."""
        match self.sign:
            case "<":
                return value < self.limit
            case "<=":
                return value <= self.limit
            case ">":
                return value > self.limit
            case _:
                return value >= self.limit


@dataclass(frozen=True, slots=True)
class SloResult:
    """An objective and the measured value; ``value`` is ``None`` if nothing was measured."""

    slo: Slo
    value: float | None

    @property
    def is_met(self) -> bool:
        """Return whether the objective is met; false if nothing was measured."""
        return self.value is not None and self.slo.holds(self.value)

    @property
    def text(self) -> str:
        """One line with the objective, the value, and by how much it was missed."""
        if self.value is None:
            return f"{self.slo.text}: missed, nothing was measured"
        measured = format_value(self.value, self.slo.unit)
        if self.is_met:
            return f"{self.slo.text}: met, measured {measured}"
        limit = self.slo.limit
        by = "" if limit == 0 else f" by {abs(self.value - limit) / limit:.1%}"
        return f"{self.slo.text}: missed{by}, measured {measured}"


def parse_slo(text: str) -> Slo:
    """Parse an objective in one of the forms of `ACCEPTED`.

    Raises:
        UsageError: the form is unknown, or the metric does not have the unit.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"--slo {text!r}: expected {ACCEPTED}")
    name, stat, unit = found["name"], found["stat"] or "", found["unit"] or ""
    value = float(found["value"])
    if name in TIMES:
        if not stat or unit not in _TO_MS:
            raise UsageError(f"--slo {text!r}: a time needs a statistic and a unit: {name}_p99<1s")
        return Slo(text.strip(), name, stat, found["sign"], value * _TO_MS[unit], "ms")
    if stat or unit not in _units(name):
        raise UsageError(f"--slo {text!r}: expected {ACCEPTED}")
    kind: Unit = "/s" if name in RATES else "%" if unit == "%" else ""
    return Slo(text.strip(), name, "", found["sign"], value, kind)


def _units(name: str) -> tuple[str, ...]:
    if name in COUNTS:
        return ("", "%")
    if name in RATES:
        return ("", "/s")
    return ("%",) if name == "goodput" else ()


def quantile_of(stat: str) -> float | None:
    """Return the quantile of a percentile such as "p99.9"; ``None`` for mean, min and max."""
    return float(stat[1:]) / 100 if stat.startswith("p") else None


def format_value(value: float, unit: Unit) -> str:
    """Format a value with its unit."""
    if unit == "ms":
        return f"{value:.2f} ms"
    return f"{value:.2f} %" if unit == "%" else f"{value:g}{unit}"


def slo_json(result: SloResult) -> Mapping[str, object]:
    """Return one objective as JSON data."""
    return {
        "slo": result.slo.text,
        "met": result.is_met,
        "limit": result.slo.limit,
        "value": None if result.value is None else round(result.value, 4),
        "unit": result.slo.unit,
    }
