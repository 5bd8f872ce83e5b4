"""Requests as measured in, figures out: percentiles, causes in words, comparisons. No I/O."""

from undam.figures.causes import find_causes
from undam.figures.client import Client
from undam.figures.stalls import Stalls
from undam.figures.summary import TIMES, Summary, summarise
from undam.figures.tally import Pause, Tally

__all__ = [
    "TIMES",
    "Client",
    "Pause",
    "Stalls",
    "Summary",
    "Tally",
    "find_causes",
    "summarise",
]
