"""Objectives for a target, such as ``ttft_p95<800ms``, and their evaluation over recent probes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from undam.errors import UsageError
from undam.monitor.probe_result import ProbeSummary
from undam.timing import quantile

_FORM = re.compile(
    r"\s*(?P<name>[a-z_]+?)(?:_p(?P<percent>\d{1,2}(?:\.\d+)?))?\s*"
    r"(?P<sign><=|>=|<|>|=)\s*(?P<value>[a-z-]+|\d+(?:\.\d+)?)\s*(?P<unit>ms|s|%)?\s*"
)
_TIMES = ("ttft", "hold")
_VERDICTS = ("streaming", "batched", "late", "held-to-end", "unknown")
_EXAMPLES = "'ttft_p95<800ms', 'hold_p99<50ms', 'verdict=streaming' or 'complete>=99.5%'"


@dataclass(frozen=True, slots=True)
class Objective:
    """One condition on the recent probes of a target.

    Args:
        text: the condition as it was written.
        name: ``ttft``, ``hold``, ``complete`` or ``verdict``.
        share: quantile from 0 to 1, for times.
        value: limit in ms or in percent, or a verdict.
    """

    text: str
    name: str
    sign: str
    value: float | str
    share: float = 0.5

    def is_met(self, results: Sequence[ProbeSummary]) -> bool | None:
        """Return whether the condition is met; ``None`` if no probe has the required value.

        A probe without a first token counts as one above every limit.
        """
        if self.name == "verdict":
            return results[-1].verdict == self.value if results else None
        if not results:
            return None
        if self.name == "complete":
            complete = 100 * sum(one.is_complete for one in results) / len(results)
            return self._compare(complete)
        times = [one.ttft_ms if self.name == "ttft" else one.hold_ms for one in results]
        known = sorted(float("inf") if one is None else one for one in times)
        if self.name == "hold" and all(one is None for one in times):
            return None
        return self._compare(quantile(known, self.share))

    def _compare(self, measured: float) -> bool:
        assert isinstance(self.value, float)
        match self.sign:
            case "<":
                return measured < self.value
            case "<=":
                return measured <= self.value
            case ">":
                return measured > self.value
            case ">=":
                return measured >= self.value
            case _:
                return measured == self.value


def parse_objective(text: str) -> Objective:
    """Parse an objective, such as ``ttft_p95<800ms``.

    Raises:
        UsageError: the text is not a condition. The message has examples.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is not an objective; write {_EXAMPLES}")
    name, value, unit = found["name"], found["value"], found["unit"]
    if name == "verdict":
        if found["sign"] != "=" or value not in _VERDICTS:
            raise UsageError(f"{text!r}: write verdict= and one of {', '.join(_VERDICTS)}")
        return Objective(text, name, "=", value)
    if name not in (*_TIMES, "complete") or not value[0].isdigit():
        raise UsageError(f"{text!r} is not an objective; write {_EXAMPLES}")
    if name == "complete":
        if unit != "%" or found["percent"] is not None:
            raise UsageError(f"{text!r}: write a percentage, as in 'complete>=99.5%'")
        return Objective(text, name, found["sign"], float(value))
    if unit not in ("ms", "s"):
        raise UsageError(f"{text!r}: the limit needs a unit, ms or s")
    limit = float(value) * (1000 if unit == "s" else 1)
    return Objective(text, name, found["sign"], limit, float(found["percent"] or 50) / 100)
