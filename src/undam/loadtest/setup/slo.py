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
    """An objective and the measured value.

    Args:
        value: ``None`` if nothing was measured, or if the statistic is that of a failed request.
        failed: number of failed requests, if the statistic is that of one of them: it is above
            every limit.
        best: value without the delays of the load generator; ``None`` if they do not matter.
        worst: value with the largest possible delays; ``None`` if they do not matter.
    """

    slo: Slo
    value: float | None
    failed: int = 0
    best: float | None = None
    worst: float | None = None

    @property
    def is_met(self) -> bool:
        """Return whether the objective is met; false if nothing was measured."""
        return self.value is not None and self.slo.holds(self.value)

    @property
    def is_doubtful(self) -> bool:
        """Return whether the delays of the load generator could have changed the verdict."""
        values = [one for one in (self.best, self.value, self.worst) if one is not None]
        return self.value is not None and len({self.slo.holds(one) for one in values}) > 1

    @property
    def margin(self) -> float | None:
        """Distance to the limit as a share of the limit; negative if the objective is missed."""
        if self.value is None or self.slo.limit == 0:
            return None
        share = abs(self.value - self.slo.limit) / self.slo.limit
        return share if self.is_met else -share

    @property
    def text(self) -> str:
        """One line with the objective, the measured value, and the distance to a missed limit."""
        if self.failed:
            are = "request is" if self.failed == 1 else "requests are"
            return f"{self.slo.text}: missed, {self.failed} failed {are} above the limit"
        if self.value is None:
            return f"{self.slo.text}: missed, nothing was measured"
        measured = format_value(self.value, self.slo.unit)
        doubt = "; the delays of this client could have changed this" if self.is_doubtful else ""
        if self.is_met:
            return f"{self.slo.text}: met, measured {measured}{doubt}"
        by = "" if self.margin is None else f" by {-self.margin:.1%}"
        return f"{self.slo.text}: missed{by}, measured {measured}{doubt}"


def parse_slo(text: str) -> Slo:
    """Parse an objective in one of the forms in `ACCEPTED`.

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
    """Return the quantile for a percentile such as "p99.9"; ``None`` for mean, min and max."""
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
        "margin_percent": None if result.margin is None else round(100 * result.margin, 2),
        "failed_requests": result.failed,
        "doubtful": result.is_doubtful,
    }
