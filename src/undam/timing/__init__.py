"""Times as data: arrivals, beacons, histograms, quantiles. No module here reads a clock."""

from undam.timing.arrival import Arrival
from undam.timing.beacon import (
    BeaconHead,
    BeaconQuery,
    BeaconSchedule,
    Due,
    due_of,
)
from undam.timing.histogram import Histogram
from undam.timing.quantile import median, quantile
from undam.timing.units import to_ms

__all__ = [
    "Arrival",
    "BeaconHead",
    "BeaconQuery",
    "BeaconSchedule",
    "Due",
    "Histogram",
    "due_of",
    "median",
    "quantile",
    "to_ms",
]
