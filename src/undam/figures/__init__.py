"""Requests as measured in, figures out: percentiles, causes in words, comparisons. No I/O."""

from undam.figures.causes import find_causes
from undam.figures.client import Client
from undam.figures.compare import (
    DEFAULT_THRESHOLD_PERCENT,
    Change,
    Compared,
    Comparison,
    compare,
)
from undam.figures.side import Side, side_of
from undam.figures.stalls import Stalls
from undam.figures.summary import TIMES, Summary, summarise
from undam.figures.tally import Pause, Tally

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
