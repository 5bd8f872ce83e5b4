"""Log-linear histogram: fixed relative error, no upper limit, no lost values, exact merging.

The bucket of a value is given by its leading ``bits`` binary digits, so the relative width of a
bucket is at most ``2 ** (1 - bits)``. With 11 bits, bucket indices equal those of an HdrHistogram
with three digits. Each bucket of a coarser histogram is a union of buckets of a finer one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from math import ceil
from typing import Any

from undam.json_values import require_int

# With fewer than 2 bits, buckets would be wider than their values. With more than 32 bits, each
# nanosecond up to 4 s would have its own bucket.
_MIN_BITS, _MAX_BITS = 2, 32

# Limits for valid input: larger values cannot be measurements.
_MAX_DIGITS = 20
_MAX_VALUE_BITS = 64
_MAX_TOTAL = 1 << 128


class Histogram:
    """Histogram of non-negative integers.

    Count, sum, minimum and maximum are exact. A quantile is the upper end of its bucket: never
    below the nearest-rank value, and above it by a factor of less than ``1 + 2 ** (1 - bits)``.

    Args:
        bits: number of leading binary digits to keep; values below ``2 ** bits`` are exact.
    """

    __slots__ = ("_counts", "bits", "count", "max", "min", "total")

    def __init__(self, *, bits: int = 16) -> None:
        if not _MIN_BITS <= bits <= _MAX_BITS:
            raise ValueError(f"bits must be from {_MIN_BITS} to {_MAX_BITS}")
        self.bits = bits
        self.count = 0
        self.total = 0
        self.min: int | None = None
        self.max: int | None = None
        self._counts: defaultdict[int, int] = defaultdict(int)

    def record(self, value: int, n: int = 1) -> None:
        """Add ``value`` ``n`` times; raise ValueError if it is negative."""
        if value < 0 or n < 0:
            raise ValueError(f"negative value or count: {value} counted {n} times")
        if n:
            self._counts[_index(value, self.bits)] += n
            self._widen(value, value, n, value * n)

    def record_all(self, values: Collection[int]) -> None:
        """Add all ``values``; if one of them is negative, raise ValueError and add none."""
        if not values:
            return
        least = min(values)
        if least < 0:
            raise ValueError(f"negative value: {least}")
        counts, bits, half = self._counts, self.bits, 1 << (self.bits - 1)
        for value in values:
            shift = value.bit_length() - bits
            counts[value if shift <= 0 else shift * half + (value >> shift)] += 1
        self._widen(least, max(values), len(values), sum(values))

    def merge(self, other: Histogram) -> None:
        """Add all values in ``other``.

        Raises:
            ValueError: ``other`` has another number of bits.
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
        """Return the exact mean; raise ValueError if the histogram is empty."""
        if not self.count:
            raise ValueError("no values")
        return self.total / self.count

    def quantile(self, q: float) -> int:
        """Return the nearest-rank ``q``-quantile, exact to the width of a bucket.

        Raises:
            ValueError: there is no value.
        """
        return self.quantiles(q)[0]

    def quantiles(self, *qs: float) -> list[int]:
        """Return the quantiles at ``qs``, in the same order, in one pass."""
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
            raise ValueError(f"{q} is not between 0 and 1")
        # In floating-point arithmetic, 0.07 * 100 is slightly above 7; it must not become rank 8.
        from fractions import Fraction  # noqa: PLC0415 (slow to import, and rarely used)

        return max(1, ceil(Fraction(str(q)) * self.count))

    def count_above(self, value: int) -> int:
        """Return the number of values in buckets that are entirely above ``value``."""
        return sum(n for lower, _, n in self.buckets() if lower > value)

    def buckets(self) -> Iterator[tuple[int, int, int]]:
        """Yield (lower bound, upper bound, count) for each non-empty bucket, in ascending order."""
        for index, n in sorted(self._counts.items()):
            yield _lower(index, self.bits), _upper(index, self.bits), n

    def indices(self) -> list[tuple[int, int]]:
        """Return (bucket index, count) for each non-empty bucket, in ascending order."""
        return sorted(self._counts.items())

    def coarser(self, bits: int) -> Histogram:
        """Return the same values at a lower resolution. This is exact, because buckets nest."""
        if bits > self.bits:
            raise ValueError(f"cannot convert {self.bits} bits to {bits}")
        other = Histogram(bits=bits)
        other.merge_coarsely(self)
        return other

    def merge_coarsely(self, other: Histogram) -> None:
        """Add all values in ``other``, whose resolution is at least as high."""
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
        """Return the histogram as JSON data; ``counts`` is ``"index:count …"``, index ascending."""
        return {
            "bits": self.bits,
            "min": self.min,
            "max": self.max,
            "total": self.total,
            "counts": " ".join(f"{index}:{n}" for index, n in self.indices()),
        }

    @classmethod
    def from_sparse(cls, value: Mapping[str, Any]) -> Histogram:
        """Return the histogram that ``to_sparse`` converted to ``value``.

        Raises:
            ValueError: the value has another form or contradicts itself.
        """
        try:
            histogram = cls(bits=require_int(value["bits"]))
            for pair in value["counts"].split():
                index, n = (_digits(part) for part in pair.split(":"))
                if index > _index((1 << _MAX_VALUE_BITS) - 1, histogram.bits):
                    raise TypeError(f"bucket {index} is out of range")
                histogram._counts[index] += n
                histogram.count += n
            if histogram.count:
                histogram.min = require_int(value["min"])
                histogram.max = require_int(value["max"])
            histogram.total = require_int(value["total"], most=_MAX_TOTAL)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a histogram: {type(error).__name__} {error}") from None
        histogram._check()
        return histogram

    def _check(self) -> None:
        """Raise ValueError if bounds or total are inconsistent with the counts."""
        rows = list(self.buckets())
        least = sum(lower * n for lower, _, n in rows)
        most = sum(upper * n for _, upper, n in rows)
        sound = least <= self.total <= most
        if rows and self.min is not None and self.max is not None:
            sound &= rows[0][0] <= self.min <= rows[0][1] and self.min <= self.max
            sound &= rows[-1][0] <= self.max <= rows[-1][1]
        if not sound:
            raise ValueError("not a histogram: its counts contradict its bounds")


def _index(value: int, bits: int) -> int:
    shift = value.bit_length() - bits
    return value if shift <= 0 else (shift << (bits - 1)) + (value >> shift)


def _lower(index: int, bits: int) -> int:
    shift = max(0, (index >> (bits - 1)) - 1)
    return (index - (shift << (bits - 1))) << shift


def _upper(index: int, bits: int) -> int:
    return _lower(index + 1, bits) - 1


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
        raise TypeError(f"{text!r} is not a number")
    return int(text)
