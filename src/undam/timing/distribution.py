"""Random distributions for delays and counts, in the form used on the command line."""

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

# Larger values would overflow 64 bits in nanoseconds. No real delay or token count comes close.
_MAX_VALUE = 1e9
# A sigma of 10 already spans 18 orders of magnitude; a larger sigma would only cause overflows.
_MAX_SIGMA = 10.0

_FORM = re.compile(r"\s*([A-Za-z]+)\s*\(([^()]*)\)\s*")
_MIX = re.compile(r"(?i)\s*mix\s*\((.*)\)\s*", re.DOTALL)
# Matches the commas that separate the parts of a mix, but no commas within a part.
_COMMA = re.compile(r",(?![^()]*\))")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Distribution of non-negative values. Create it with `parse_distribution` or `constant`.

    Args:
        a: depending on ``kind``, the value, median, mean, lower bound, or share of the first part.
        b: sigma or the upper bound.
        parts: the two distributions of a mix; these are not mixes themselves.
    """

    kind: Kind
    a: float
    b: float = 0.0
    parts: tuple[Distribution, ...] = ()

    def sample(self, rng: random.Random) -> float:
        """Return a random value, which is finite and not negative."""
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
        """Return the distribution as text that `parse_distribution` accepts."""
        first, second = (repr(value).removesuffix(".0") for value in (self.a, self.b))
        if self.kind == "constant":
            return first
        if self.kind == "exp":
            return f"exp({first})"
        if self.parts:
            return f"mix({','.join([first, *map(str, self.parts)])})"
        return f"{self.kind}({first},{second})"


def constant(value: float) -> Distribution:
    """Return a distribution with a single value; raise UsageError if ``value`` is out of range."""
    return Distribution("constant", _number(str(value), str(value)))


def parse_distribution(text: str) -> Distribution:
    """Parse a distribution in one of the forms in `ACCEPTED`.

    Raises:
        UsageError: the text has another form, a number is out of range, or LO is above HI.
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
            raise UsageError(f"{text!r}: SIGMA must be at most {_MAX_SIGMA:g}")
        return Distribution("lognormal", values[0], values[1])
    if kind == "uniform" and len(values) == 2:
        if values[0] > values[1]:
            raise UsageError(f"{text!r}: LO must not be above HI")
        return Distribution("uniform", values[0], values[1])
    raise _invalid(text)


def _mix(parts: list[str], whole: str) -> Distribution:
    if len(parts) != 3 or any(_MIX.fullmatch(part) for part in parts):
        raise _invalid(whole)
    share = _number(parts[0], whole)
    if share > 1:
        raise UsageError(f"{whole!r}: SHARE must be from 0 to 1")
    return Distribution("mix", share, parts=tuple(map(parse_distribution, parts[1:])))


def _number(part: str, whole: str) -> float:
    try:
        value = float(part)
    except ValueError:
        raise _invalid(whole) from None
    if not 0 <= value <= _MAX_VALUE:
        raise UsageError(f"{whole!r}: every number must be from 0 to {_MAX_VALUE:g}")
    return value


def _invalid(text: str) -> UsageError:
    return UsageError(f"invalid distribution {text!r}: expected {ACCEPTED}")
