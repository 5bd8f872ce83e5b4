"""Self-contained HTML reports on load tests, captures and monitoring. No I/O."""

from undam.report.page import render_page
from undam.report.pages.capture import render_capture_page
from undam.report.pages.comparison import render_comparison_page
from undam.report.pages.monitor import render_overview_page, render_target_page
from undam.report.pages.sweep import render_sweep_page

__all__ = [
    "render_capture_page",
    "render_comparison_page",
    "render_overview_page",
    "render_page",
    "render_sweep_page",
    "render_target_page",
]
