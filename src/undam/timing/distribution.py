"""A number that may vary: how schedules are written on a command line. No clock is read here."""

from __future__ import annotations

import math
import random
import re
from dataclasses import dataclass
from typing import Literal

from undam.errors import UsageError

Kind = Literal["constant", "lognormal", "exp", "uniform", "mix"]

ACCEPTED = (
    "a number, constant(VALUE), lognormal(MEDIAN,SIGMA), exp(MEAN), uniform(LO,HI) "
    "or mix(SHARE,ONE,OTHER)"
)
"""The forms of `parse_distribution`, for help texts and messages."""

# Beyond this a schedule in nanoseconds leaves 64 bits; no delay or count of tokens comes near it.
_MAX_VALUE = 1e9
# A sigma of 10 already spreads over 18 orders of magnitude; more would only overflow.
_MAX_SIGMA = 10.0

_FORM = re.compile(r"\s*([A-Za-z]+)\s*\(([^()]*)\)\s*")
_MIX = re.compile(r"(?i)\s*mix\s*\((.*)\)\s*", re.DOTALL)
# The commas of a mix itself, not those within its parts.
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where values come from. Build it with `parse_distribution` or `constant`.

    Args:
        a: the value, the median, the mean, the lower bound or the share of the first part, by
            ``kind``.
        b: sigma or the upper bound.
        parts: the two that a mix draws from; no mix themselves.
    """

    kind: Kind
    a: float
    b: float = 0.0
    parts: tuple[Distribution, ...] = ()

    def sample(self, rng: random.Random) -> float:
        """One value: never negative, never NaN, never infinite."""
        if self.parts:
            return self.parts[rng.random() >= self.a].sample(rng)
        if self.kind == "constant" or self.a == self.b == 0:
            return self.a
        if self.kind == "uniform":
            return rng.uniform(self.a, self.b)
        if self.kind == "exp":
            return rng.expovariate(1 / self.a)
        return rng.lognormvariate(math.log(self.a), self.b) if self.a else 0.0

    def __str__(self) -> str:
        """The text that `parse_distribution` reads back."""
        first, second = (repr(value).removesuffix(".0") for value in (self.a, self.b))
        if self.kind == "constant":
            return first
        if self.kind == "exp":
            return f"exp({first})"
        if self.parts:
            return f"mix({','.join([first, *map(str, self.parts)])})"
        return f"{self.kind}({first},{second})"


def constant(value: float) -> Distribution:
    """The distribution that is always ``value``; raises UsageError where no delay can be that."""
    return Distribution("constant", _number(str(value), str(value)))


def parse_distribution(text: str) -> Distribution:
    """Read one of `ACCEPTED`.

    Raises:
        UsageError: another form, a negative or endless number, or bounds the wrong way round.
    """
    mix = _MIX.fullmatch(text)
    if mix is not None:
        return _mix(_COMMA.split(mix[1]), text)
    form = _FORM.fullmatch(text)
    if form is None:
        return Distribution("constant", _number(text, text))
    kind = form[1].lower()
    values = [_number(part, text) for part in form[2].split(",")]
    if kind == "constant" and len(values) == 1:
        return Distribution("constant", values[0])
    if kind == "exp" and len(values) == 1:
        return Distribution("exp", values[0])
    if kind == "lognormal" and len(values) == 2:
        if values[1] > _MAX_SIGMA:
            raise UsageError(f"{text!r}: SIGMA is at most {_MAX_SIGMA:g}")
        return Distribution("lognormal", values[0], values[1])
    if kind == "uniform" and len(values) == 2:
        if values[0] > values[1]:
            raise UsageError(f"{text!r}: LO is above HI")
        return Distribution("uniform", values[0], values[1])
    raise _refused(text)


def _mix(parts: list[str], whole: str) -> Distribution:
    if len(parts) != 3 or any(_MIX.fullmatch(part) for part in parts):
        raise _refused(whole)
    share = _number(parts[0], whole)
    if share > 1:
        raise UsageError(f"{whole!r}: SHARE is from 0 to 1")
    return Distribution("mix", share, parts=tuple(map(parse_distribution, parts[1:])))


def _number(part: str, whole: str) -> float:
    try:
        value = float(part)
    except ValueError:
        raise _refused(whole) from None
    if not 0 <= value <= _MAX_VALUE:
        raise UsageError(f"{whole!r}: every number is from 0 to {_MAX_VALUE:g}")
    return value


def _refused(text: str) -> UsageError:
    return UsageError(f"cannot use {text!r}: give {ACCEPTED}")
