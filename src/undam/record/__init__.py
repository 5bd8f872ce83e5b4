"""What was seen on the wire, as data, and its form as JSON lines."""

from undam.record.exchange import Ending, Exchange, Head, Stamps
from undam.record.lines import read_record, record_lines
from undam.record.redact import (
    HIDDEN,
    redact_body,
    redact_headers,
    redact_text,
    redact_url,
    secrets_of,
)
from undam.record.request_result import ContentRead, Outcome, RequestResult
from undam.record.request_result_lines import MeasuredRecord, measured_line, read_measured
from undam.record.rows import header_line

__all__ = [
    "HIDDEN",
    "ContentRead",
    "Ending",
    "Exchange",
    "Head",
    "MeasuredRecord",
    "Outcome",
    "RequestResult",
    "Stamps",
    "header_line",
    "measured_line",
    "read_measured",
    "read_record",
    "record_lines",
    "redact_body",
    "redact_headers",
    "redact_text",
    "redact_url",
    "secrets_of",
]
