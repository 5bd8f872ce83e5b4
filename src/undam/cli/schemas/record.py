"""Form of a record, whose lines are JSON objects of several kinds."""

from __future__ import annotations

from undam.cli.schemas.notation import Form, NamedForm

_HEADER: Form = {
    "schema": "integer: version of the record; always 1",
    "kind": "'record'",
    "command": "string: the command that wrote it",
    "*": "any",
}
_EXCHANGE: Form = {
    "kind": "'exchange'",
    "exchange": "integer: number of the exchange, which its other lines repeat",
    "hop": "string",
    "url": "string: without secrets",
    "api": "string",
    "clock": "'kernel'|'user'",
    "proxy": "string|null",
    "tls_issuer": "string|null",
    "tls_expires_s?": "integer|null: Unix time at which the certificate expires",
    "stamps": {
        "start_ns": "integer",
        **dict.fromkeys(
            ("dns_ns", "connect_ns", "proxy_ns", "tls_ns", "sent_ns", "head_ns"), "integer|null"
        ),
    },
    "head": (
        "null",
        {"status": "integer", "http_version": "string", "headers": [["string"]]},
    ),
}
_ARRIVAL: Form = {
    "kind": "'arrival'",
    "exchange": "integer",
    "at_ns": "integer: when the bytes reached this machine (CLOCK_REALTIME)",
    "late_ns?": "integer: how long the bytes waited in the kernel",
    "wire_bytes?": "integer",
    "text?": "string: the bytes, if they are UTF-8",
    "base64?": "string: the bytes, if they are not",
}
_END_OF_EXCHANGE: Form = {
    "kind": "'end'",
    "exchange": "integer",
    "ending": "'complete'|'closed'|'truncated'|'reset'|'timeout'|'limit'",
    "at_ns": "integer",
    "error": "string|null",
    "step_ns": "integer: change of the clock during the exchange",
    "http2?": {"reset": "string|null", "goaway": "string|null", "send_stall_ns": "integer"},
}
_REQUEST: Form = {
    "kind": "'measured'",
    "number": "integer",
    "worker": "integer",
    "intended_ns": "integer: start by the schedule; TTFT counts from here",
    "ended_ns": "integer",
    "empties": "integer",
    "heartbeats": "integer",
    "body_bytes": "integer",
    **dict.fromkeys(
        ("started_ns", "head_ns", "status", "tokens", "answer_ns", "prompt_tokens",
         "cached_tokens", "reasoning_tokens", "session", "turn"), "integer|null"
    ),
    "warmup": "boolean",
    "stamped": "boolean: all reads have kernel timestamps",
    "blurred?": "boolean: a late read also has later data of other HTTP/2 streams",
    "integrity?": {
        "evidence": "string",
        "events": "integer",
        **dict.fromkeys(
            ("lost?", "duplicated?", "reordered?", "altered?", "torn?", "mixed?"), "integer"
        ),
        "first": {"*": "string: the first place of a kind of fault"},
    },
    "outcome": "string",
    "failure": "string",
    "message": "string",
    "retry_after_s": "number|null",
    "reads": [["integer"]],
}  # fmt: skip
_STEP: Form = {"kind": "'step'", "step": "string", "about": {"*": "any"}}
_END_OF_RUN: Form = {
    "kind": "'end'",
    "interrupted": "boolean",
    "planned": "integer|null",
    "missing_percent": "number|null",
    "lost_workers": [{"*": "any"}],
    "*": "any",
}

RECORD = NamedForm(
    "record",
    "One line of a record written by --record",
    (_HEADER, _EXCHANGE, _ARRIVAL, _END_OF_EXCHANGE, _REQUEST, _STEP, _END_OF_RUN),
)
