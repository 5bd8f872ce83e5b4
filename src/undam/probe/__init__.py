"""`undam check`: ask every hop for the same answer, and say which one holds it."""

from undam.probe.check import Progress, Report, report_json, run_check
from undam.probe.options import DEFAULT_PROMPT, CheckOptions, Place

__all__ = [
    "DEFAULT_PROMPT",
    "CheckOptions",
    "Place",
    "Progress",
    "Report",
    "report_json",
    "run_check",
]
