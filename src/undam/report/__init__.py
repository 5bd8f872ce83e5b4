"""Report of a load test as one self-contained HTML page. No I/O."""

from undam.report.page import render_page

__all__ = ["render_page"]
