"""SSE parser and encoder (WHATWG HTML 9.2.5 and 9.2.6), and a parser for JSON Lines."""

from undam.sse.encode import encode, encode_comment, encode_event, encode_hint
from undam.sse.event import Comment, Event, ReconnectHint
from undam.sse.json_data import encode_json, json_text
from undam.sse.ndjson import LineParser
from undam.sse.parse import Parser

__all__ = [
    "Comment",
    "Event",
    "LineParser",
    "Parser",
    "ReconnectHint",
    "encode",
    "encode_comment",
    "encode_event",
    "encode_hint",
    "encode_json",
    "json_text",
]
