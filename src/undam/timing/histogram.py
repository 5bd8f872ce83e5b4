"""A log-linear histogram: fixed relative error, no upper bound, no lost values, exact merging.

A value's bucket is its leading ``bits`` binary digits, so a bucket is at most ``2 ** (1 - bits)``
of its values wide. With 11 bits the indices are those of an HdrHistogram of three digits, and a
coarser histogram's buckets are always whole unions of a finer one's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from math import ceil
from typing import Any

# Two digits are the least that makes buckets narrower than their values; more than 32 would
# keep every nanosecond of 4 s apart, which is a list and no histogram.
_FEWEST_BITS, _MOST_BITS = 2, 32

# No clock gives more, and a text with longer numbers is hostile.
_LONGEST_NUMBER = 20
_MOST_VALUE_BITS = 64


class Histogram:
    """Whole numbers, counted by their leading digits.

    Count, sum, least and greatest are exact. A quantile is the upper end of its bucket: never
    below the nearest-rank value, and above it by less than ``2 ** (1 - bits)`` of it.

    Args:
        bits: leading binary digits that are kept; values below ``2 ** bits`` are exact.
    """

    __slots__ = ("_counts", "bits", "count", "max", "min", "total")

    def __init__(self, *, bits: int = 16) -> None:
        if not _FEWEST_BITS <= bits <= _MOST_BITS:
            raise ValueError(f"bits must be from {_FEWEST_BITS} to {_MOST_BITS}")
        self.bits = bits
        self.count = 0
        self.total = 0
        self.min: int | None = None
        self.max: int | None = None
        self._counts: defaultdict[int, int] = defaultdict(int)

    def record(self, value: int, n: int = 1) -> None:
        """Count ``value`` ``n`` times; raises ValueError where it is negative."""
        if value < 0 or n < 0:
            raise ValueError(f"negative: {value} counted {n} times")
        if n:
            self._counts[_index(value, self.bits)] += n
            self._widen(value, value, n, value * n)

    def record_all(self, values: Collection[int]) -> None:
        """Count each of ``values``; raises ValueError, and counts none, where one is negative."""
        if not values:
            return
        least = min(values)
        if least < 0:
            raise ValueError(f"negative: {least}")
        counts, bits, half = self._counts, self.bits, 1 << (self.bits - 1)
        for value in values:
            shift = value.bit_length() - bits
            counts[value if shift <= 0 else shift * half + (value >> shift)] += 1
        self._widen(least, max(values), len(values), sum(values))

    def merge(self, other: Histogram) -> None:
        """Add what ``other`` counted, as if it had been recorded here.

        Raises:
            ValueError: ``other`` keeps another number of bits.
        """
        if other.bits != self.bits:
            raise ValueError(f"{other.bits} bits cannot be merged into {self.bits}")
        if other.min is None or other.max is None:
            return
        for index, n in list(other._counts.items()):
            self._counts[index] += n
        self._widen(other.min, other.max, other.count, other.total)

    def __iadd__(self, other: Histogram) -> Histogram:
        self.merge(other)
        return self

    def _widen(self, least: int, greatest: int, n: int, total: int) -> None:
        self.count += n
        self.total += total
        self.min = least if self.min is None else min(self.min, least)
        self.max = greatest if self.max is None else max(self.max, greatest)

    def mean(self) -> float:
        """The exact mean; raises ValueError where there is no value."""
        if not self.count:
            raise ValueError("no values")
        return self.total / self.count

    def quantile(self, q: float) -> int:
        """The nearest-rank ``q``-quantile within the bucket's width; raises ValueError if empty."""
        return self.quantiles(q)[0]

    def quantiles(self, *qs: float) -> list[int]:
        """Several quantiles for the price of one, in the order asked."""
        if self.max is None:
            raise ValueError("no values")
        found: dict[int, int] = {}
        ranks = [self._rank(q) for q in qs]
        wanted, seen = sorted(set(ranks), reverse=True), 0
        for index, n in sorted(self._counts.items()):
            seen += n
            while wanted and seen >= wanted[-1]:
                found[wanted.pop()] = min(_upper(index, self.bits), self.max)
        return [found[rank] for rank in ranks]

    def _rank(self, q: float) -> int:
        if not 0 <= q <= 1:
            raise ValueError(f"{q} is no quantile")
        # 0.07 x 100 is a hair over 7 in binary, and must not become rank 8.
        from fractions import Fraction  # noqa: PLC0415 (most who import this count nothing)

        return max(1, ceil(Fraction(str(q)) * self.count))

    def count_above(self, value: int) -> int:
        """How many values lie in buckets wholly above ``value``."""
        return sum(n for lower, _, n in self.buckets() if lower > value)

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Each bucket with values, ascending: its least and greatest possible value, its count."""
        for index, n in sorted(self._counts.items()):
            yield _lower(index, self.bits), _upper(index, self.bits), n

    def indices(self) -> list[tuple[int, int]]:
        """Each bucket's index and its count, ascending."""
        return sorted(self._counts.items())

    def coarser(self, bits: int) -> Histogram:
        """The histogram of the same values with fewer bits; exact, since buckets nest."""
        if bits > self.bits:
            raise ValueError(f"{self.bits} bits cannot be made {bits}")
        other = Histogram(bits=bits)
        other.merge_coarsely(self)
        return other

    def merge_coarsely(self, other: Histogram) -> None:
        """As ``merge``, of a histogram that has at least as many bits."""
        if other.min is None or other.max is None:
            return
        for index, n in other._counts.items():
            self._counts[_index(_lower(index, other.bits), self.bits)] += n
        self._widen(other.min, other.max, other.count, other.total)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Histogram):
            return NotImplemented
        return self.to_sparse() == other.to_sparse()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Histogram {self.count} values from {self.min} to {self.max}>"

    def to_sparse(self) -> dict[str, Any]:
        """All of it as JSON: ``counts`` is ``"index:count index:count …"``, ascending."""
        return {
            "bits": self.bits,
            "min": self.min,
            "max": self.max,
            "total": self.total,
            "counts": " ".join(f"{index}:{n}" for index, n in self.indices()),
        }

    @classmethod
    def from_sparse(cls, value: Mapping[str, Any]) -> Histogram:
        """What ``to_sparse`` gave.

        Raises:
            ValueError: it is no such value, or contradicts itself.
        """
        try:
            histogram = cls(bits=_whole(value["bits"]))
            for pair in value["counts"].split():
                index, n = (_digits(part) for part in pair.split(":"))
                if index > _index((1 << _MOST_VALUE_BITS) - 1, histogram.bits):
                    raise TypeError(f"{index} is the bucket of no duration")
                histogram._counts[index] += n
                histogram.count += n
            if histogram.count:
                histogram.min, histogram.max = _whole(value["min"]), _whole(value["max"])
            histogram.total = _whole(value["total"])
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"no histogram: {type(error).__name__} {error}") from None
        histogram._check()
        return histogram

    def _check(self) -> None:
        """Refuse bounds that the counts contradict: quantiles and means would be nonsense."""
        rows = list(self.buckets())
        least = sum(lower * n for lower, _, n in rows)
        most = sum(upper * n for _, upper, n in rows)
        sound = least <= self.total <= most
        if rows and self.min is not None and self.max is not None:
            sound &= rows[0][0] <= self.min <= rows[0][1] and self.min <= self.max
            sound &= rows[-1][0] <= self.max <= rows[-1][1]
        if not sound:
            raise ValueError("no histogram: its counts contradict its bounds")


def _index(value: int, bits: int) -> int:
    shift = value.bit_length() - bits
    return value if shift <= 0 else (shift << (bits - 1)) + (value >> shift)


def _lower(index: int, bits: int) -> int:
    shift = max(0, (index >> (bits - 1)) - 1)
    return (index - (shift << (bits - 1))) << shift


def _upper(index: int, bits: int) -> int:
    return _lower(index + 1, bits) - 1


def _whole(value: object) -> int:
    if type(value) is not int or value < 0:
        raise TypeError(f"{value!r} is no whole number")
    return value


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise TypeError(f"{text!r} is no number")
    return int(text)
