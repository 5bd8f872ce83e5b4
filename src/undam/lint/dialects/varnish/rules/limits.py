"""Rules VRN401-VRN402: timeouts that cut off a stream or replace it with an error."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.varnish.parser import VclFile
from undam.lint.dialects.varnish.routes import VclRoutes
from undam.lint.limits import ExpectedSilence
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tokens import Token

BETWEEN_BYTES = ConfigRule(
    code="VRN401",
    slug="short-between-bytes-timeout",
    severity=Severity.WARNING,
    message="a stream is cut after {limit} of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        between_bytes_timeout (60 s by default) ends a fetch when the backend has sent nothing for
        this long.
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, so the limit expires and
        the client receives a truncated stream.
    """,
    detection="""
        The limit is set in a streaming backend or for its streams in vcl_backend_fetch, and is
        below the expected silence (setting `silence`, 300 s by default). If the heartbeat interval
        is known, the limit is compared with twice that interval instead. If the heartbeat interval
        is known, a limit of at most one heartbeat interval is an error, and a higher limit is a
        warning. between_bytes_timeout does not apply to piped requests.
    """,
    measured="varnish 7.1.1 with a limit of 2 s closed a stream that was silent for 4.5 s.",
    fix="""
        Set between_bytes_timeout to one hour. With a longer limit, a dead backend is detected
        later.

            .between_bytes_timeout = 3600s;
    """,
    source=(
        "measured on loopback with varnish 7.1.1; vcl-backend(7) and varnishd(1), "
        "between_bytes_timeout"
    ),
)

FIRST_BYTE = ConfigRule(
    code="VRN402",
    slug="short-first-byte-timeout",
    severity=Severity.WARNING,
    message=("a response that begins later than {limit} is replaced by a 503, {expected}"),
    safety=Safety.UNSAFE,
    what="""
        first_byte_timeout (60 s by default) limits how long a backend may take to send the first
        byte of its response.
    """,
    why="""
        A server that sends its response head together with the first token sends nothing while a
        long prompt is processed or queued. The client receives a 503 instead of the answer.
    """,
    detection="""
        The limit is set in a streaming backend or for its streams in vcl_backend_fetch, and is
        below the expected silence (setting `silence`, 300 s by default). The severity is only
        `warning`, because the limit does not affect servers that send the response head immediately
        and then heartbeats.
    """,
    measured="""
        varnish 7.1.1 with a limit of 1 s returned a 503 because the response head arrived only
        after 2.5 s.
    """,
    fix="""
        Set first_byte_timeout to one hour. With a longer limit, a dead backend is detected later.

            .first_byte_timeout = 3600s;
    """,
    source="measured on loopback with varnish 7.1.1; vcl-backend(7), first_byte_timeout",
)

RULES = (BETWEEN_BYTES, FIRST_BYTE)

_RULES_BY_LIMIT = {"between_bytes_timeout": BETWEEN_BYTES, "first_byte_timeout": FIRST_BYTE}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,12})?)(ms|[smhdwy])?", re.ASCII)
_UNITS_S = {"ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
_LONG = "3600s"
_DEFAULT_S = 60.0


def find(vcl: VclFile, routes: VclRoutes, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    """Find timeouts for backends and fetches that are shorter than the expected idle periods."""
    for name, rule in _RULES_BY_LIMIT.items():
        is_set_for_fetch = False
        for statement in vcl.statements:
            variable, value = statement.assignment
            is_for_fetch = variable == f"bereq.{name}" and statement.sub != "vcl_backend_response"
            if not is_for_fetch or value is None or not routes.applies(statement):
                continue
            is_set_for_fetch = True
            yield from _find_short(rule, statement.source, value, silence)
        if is_set_for_fetch:
            continue
        for backend in vcl.backends:
            limit = backend.attributes.get(f".{name}")
            if not routes.streams_through(backend):
                continue
            if limit is not None:
                yield from _find_short(rule, backend.source, limit, silence)
            elif address := backend.attributes.get(".host") or backend.attributes.get(".path"):
                yield from _find_default(rule, backend.source, address, silence)


def _find_default(
    rule: ConfigRule, source: Source, address: Token, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Report a varnishd default that is too short. The command line of varnishd can override it."""
    severity = silence.severity(_DEFAULT_S)
    if severity is not None:
        yield diagnostic_at(
            rule,
            source,
            address.span,
            severity=Severity.WARNING,
            limit=f"{_DEFAULT_S:g} s, the default of varnishd,",
            expected=silence.reason,
        )


def _find_short(
    rule: ConfigRule, source: Source, value: Token, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    limit_s = duration_s(value.text)
    severity = silence.severity(limit_s) if limit_s is not None else None
    if severity is None:
        return
    yield diagnostic_at(
        rule,
        source,
        value.span,
        Edit(*value.span, _LONG),
        severity=severity if rule is BETWEEN_BYTES else Severity.WARNING,
        limit=value.text,
        expected=silence.reason,
    )


def duration_s(text: str) -> float | None:
    """Parse a VCL duration; ``None`` if it is an expression."""
    match = _DURATION.fullmatch(text)
    return None if match is None else float(match[1]) * _UNITS_S[match[2] or "s"]
