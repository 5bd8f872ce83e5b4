"""What was measured, as a page: one self-contained HTML file. No I/O."""

from undam.report.page import page

__all__ = ["page"]
