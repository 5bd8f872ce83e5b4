"""`undam check`: sends the same request to every hop, and finds the hop that holds the stream.

Names are imported on first use: other commands need only the options, and importing the analysis
would delay their first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undam.lazy import lazy_exports

if TYPE_CHECKING:
    from undam.probe.check import Progress, Report, report_json, run_check
    from undam.probe.options import DEFAULT_PROMPT, CheckOptions, Place

_MODULES = {
    "DEFAULT_PROMPT": "options",
    "CheckOptions": "options",
    "Place": "options",
    "Progress": "check",
    "Report": "check",
    "report_json": "check",
    "run_check": "check",
}

__all__ = [
    "DEFAULT_PROMPT",
    "CheckOptions",
    "Place",
    "Progress",
    "Report",
    "report_json",
    "run_check",
]

__getattr__ = lazy_exports(__name__, _MODULES)
