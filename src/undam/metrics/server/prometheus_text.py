"""Samples in Prometheus' text format (exposition format 0.0.4 and OpenMetrics)."""

from __future__ import annotations

import math
import re

_SAMPLE = re.compile(
    r"\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<labels>(?:[^\"}]|\"(?:[^\"\\]|\\.)*\")*)\})?"
    r"\s+(?P<value>[^\s#]+)"
)
# Server metrics usually have only some kilobytes.
MAX_TEXT_BYTES = 4 << 20


def parse_totals(text: str) -> dict[str, float]:
    """Return the sum of the samples of each name, over all labels.

    Servers add labels such as the model or the data-parallel rank. Lines that are not samples, and
    values that are not finite, are left out. Buckets of histograms are left out as well.
    """
    totals: dict[str, float] = {}
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        found = _SAMPLE.match(line)
        if found is None or found["name"].endswith("_bucket"):
            continue
        try:
            value = float(found["value"])
        except ValueError:
            continue
        if math.isfinite(value):
            totals[found["name"]] = totals.get(found["name"], 0.0) + value
    return totals
