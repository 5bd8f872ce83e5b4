"""Time as data: arrivals, due times, quantiles. No clock is read here."""

from undam.timing.arrival import Arrival
from undam.timing.beacon import (
    BeaconHead,
    BeaconQuestion,
    BeaconSchedule,
    Due,
    due_of,
)
from undam.timing.histogram import Histogram
from undam.timing.quantile import median, quantile

__all__ = [
    "Arrival",
    "BeaconHead",
    "BeaconQuestion",
    "BeaconSchedule",
    "Due",
    "Histogram",
    "due_of",
    "median",
    "quantile",
]
