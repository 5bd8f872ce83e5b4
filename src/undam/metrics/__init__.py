"""Requests as measured in, figures out: percentiles, causes in words, comparisons. No I/O."""

from undam.metrics.aggregate import Pause, Tally
from undam.metrics.causes import find_causes
from undam.metrics.client import Client
from undam.metrics.comparison.compare import (
    DEFAULT_THRESHOLD_PERCENT,
    Change,
    Compared,
    Comparison,
    compare,
)
from undam.metrics.comparison.run_input import Side, side_of
from undam.metrics.stalls import Stalls
from undam.metrics.summary import TIMES, Summary, summarise

__all__ = [
    "DEFAULT_THRESHOLD_PERCENT",
    "TIMES",
    "Change",
    "Client",
    "Compared",
    "Comparison",
    "Pause",
    "Side",
    "Stalls",
    "Summary",
    "Tally",
    "compare",
    "find_causes",
    "side_of",
    "summarise",
]
