"""Rules APA201-APA202: settings that look like a fix but do not affect streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.apache.parser import ApacheDirective, ApacheScope
from undam.lint.dialects.apache.routes import ProxyWorker, settings_of
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.tokens import Word

USELESS_FLUSH = ConfigRule(
    code="APA201",
    slug="flushpackets-over-http",
    severity=Severity.INFO,
    message="{parameter} has no effect over {scheme}: mod_proxy_http streams without it",
    safety=Safety.SAFE,
    what="""
        Only mod_proxy_fcgi and mod_proxy_ajp read `flushpackets`. The module mod_proxy_http always
        sends data as soon as the origin pauses.
    """,
    why="""
        The setting suggests that this proxy would hold the stream without it. The real cause of a
        delay may therefore be overlooked.
    """,
    detection="""
        The ProxyPass or BalancerMember line of a streaming route has an http:// or https:// URL and
        sets `flushpackets` or `flushwait`.
    """,
    measured="""
        httpd 2.4.71, with 200 events sent 5 ms apart: each read returned one event with
        `flushpackets=on`, with `flushpackets=off` and without the parameter.
    """,
    fix="""
        Remove the ineffective parameter.

            ProxyPass "/v1/" "http://127.0.0.1:9000/v1/"
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, flushpackets",
)

ACCEL_HEADER = ConfigRule(
    code="APA202",
    slug="x-accel-header-in-apache",
    severity=Severity.INFO,
    message="X-Accel-Buffering has no effect in httpd; only an nginx closer to the client reads it",
    safety=Safety.NONE,
    what="""
        `X-Accel-Buffering: no` disables buffering in nginx and in programs built on nginx. Apache
        httpd forwards X-Accel-Buffering but does not act on it.
    """,
    why="If httpd holds the stream, X-Accel-Buffering does not release it.",
    detection="""
        `Header` or `RequestHeader` sets X-Accel-Buffering for a proxied streaming route.
    """,
    measured="""
        httpd 2.4.71 over FastCGI held the stream, whether or not the response contained
        X-Accel-Buffering.
    """,
    fix="""
        Keep a `Header` line only if there is an nginx between httpd and the client; otherwise
        remove the line. httpd itself needs a setting to stream only over FastCGI and AJP:

            ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
    """,
    source="measured on loopback with httpd 2.4.71",
)

RULES = (USELESS_FLUSH, ACCEL_HEADER)

_ACCEL = "x-accel-buffering"


def find_flush_parameters(worker: ProxyWorker) -> Iterator[Diagnostic]:
    """Find parameters of an HTTP worker that affect only FastCGI and AJP workers."""
    if not worker.is_http:
        return
    for word in worker.parameters:
        if word.text.lower().startswith(("flushpackets=", "flushwait=")):
            yield diagnostic_at(
                USELESS_FLUSH,
                worker.line.source,
                word.span,
                _remove_word(worker.line, word),
                parameter=word.text,
                scheme=worker.scheme,
            )


def find_headers(scopes: list[ApacheScope]) -> Iterator[Diagnostic]:
    """Find directives that set X-Accel-Buffering."""
    for one in settings_of(scopes, "header", "requestheader"):
        for word in one.args[:3]:
            is_set = "unset" not in one.texts[:2] and one.texts[0] != "echo"
            if word.text.lower() == _ACCEL and is_set:
                yield diagnostic_at(ACCEL_HEADER, one.source, word.span)


def _remove_word(line: ApacheDirective, word: Word) -> Edit:
    before = line.words[line.words.index(word) - 1]
    return Edit(before.end, word.end, "")
