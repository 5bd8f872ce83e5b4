"""Reports of load tests and captures, each as one self-contained HTML page. No I/O."""

from undam.report.capture_page import render_capture_page
from undam.report.comparison_page import render_comparison_page
from undam.report.page import render_page
from undam.report.sweep_page import render_sweep_page

__all__ = [
    "render_capture_page",
    "render_comparison_page",
    "render_page",
    "render_sweep_page",
]
