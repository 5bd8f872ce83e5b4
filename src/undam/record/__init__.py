"""Recorded exchanges and request results: data types, JSON lines, redaction of secrets."""

from undam.record.damage import Damage
from undam.record.exchange import Ending, Exchange, Head, Http2Facts, Stamps
from undam.record.exchange_lines import (
    CheckRecord,
    read_check_record,
    read_record,
    record_lines,
)
from undam.record.header import header_line
from undam.record.request_result import ContentRead, Outcome, RequestResult
from undam.record.request_result_lines import (
    LoadTestRecord,
    read_request_results,
    request_result_line,
)
from undam.secrecy import (
    HIDDEN,
    redact_body,
    redact_headers,
    redact_text,
    redact_url,
    secrets_of,
)

__all__ = [
    "HIDDEN",
    "CheckRecord",
    "ContentRead",
    "Damage",
    "Ending",
    "Exchange",
    "Head",
    "Http2Facts",
    "LoadTestRecord",
    "Outcome",
    "RequestResult",
    "Stamps",
    "header_line",
    "read_check_record",
    "read_record",
    "read_request_results",
    "record_lines",
    "redact_body",
    "redact_headers",
    "redact_text",
    "redact_url",
    "request_result_line",
    "secrets_of",
]
