"""Metrics of load tests: from request results to percentiles, causes and comparisons. No I/O."""

from undam.metrics.aggregate import Aggregate, LongGap
from undam.metrics.causes import find_causes
from undam.metrics.comparison.compare import (
    DEFAULT_THRESHOLD_PERCENT,
    Change,
    ComparedStatistic,
    Comparison,
    compare,
)
from undam.metrics.comparison.run_input import RunInput, parse_run
from undam.metrics.load_generator import LoadGeneratorStats
from undam.metrics.stalls import Stalls
from undam.metrics.summary import TIMES, Summary, summarize

__all__ = [
    "DEFAULT_THRESHOLD_PERCENT",
    "TIMES",
    "Aggregate",
    "Change",
    "ComparedStatistic",
    "Comparison",
    "LoadGeneratorStats",
    "LongGap",
    "RunInput",
    "Stalls",
    "Summary",
    "compare",
    "find_causes",
    "parse_run",
    "summarize",
]
