"""Reports of load tests and captures, each as one self-contained HTML page. No I/O."""

from undam.report.page import render_page
from undam.report.pages.capture import render_capture_page
from undam.report.pages.comparison import render_comparison_page
from undam.report.pages.sweep import render_sweep_page

__all__ = [
    "render_capture_page",
    "render_comparison_page",
    "render_page",
    "render_sweep_page",
]
