"""Rules CAD401-CAD402: timeouts that cut off streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.caddy.parser import delete_directive, duration_s
from undam.lint.dialects.caddy.routes import CaddyConfig, CaddyRoute
from undam.lint.limits import ExpectedSilence, total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit

READ_TIMEOUT = ConfigRule(
    code="CAD401",
    slug="short-read-timeout",
    severity=Severity.WARNING,
    message="a stream is cut after {limit:g} s of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        Caddy ends a response if the origin sends nothing for longer than the `read_timeout` of the
        http transport. By default, `read_timeout` is not set.
    """,
    why="""
        If the model sends nothing during queueing, reasoning or a tool call, the client receives an
        incomplete answer. With Caddy 2.6.2, the incomplete answer ends normally and looks complete;
        with 2.11.7, clients detect the truncation.
    """,
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, an idle limit of at most one interval is an
        error. A limit between one and two intervals is a warning.
    """,
    measured="""
        With a limit of 1 s, Caddy ended a stream that was silent for 2.5 s. Version 2.6.2 ended the
        stream normally, and version 2.11.7 truncated it. A comment every 0.4 s kept the stream
        open. `write_timeout`, `keepalive` and `response_header_timeout` did not cut the stream.
    """,
    fix="""
        Raise `read_timeout` to one hour. With a longer limit, a dead origin is detected later.

            read_timeout 1h
    """,
    source="measured on loopback with Caddy 2.6.2; caddyserver.com, reverse_proxy, http transport",
)

WRITE_TIMEOUT = ConfigRule(
    code="CAD402",
    slug="total-write-timeout",
    severity=Severity.WARNING,
    message="every response is cut after {limit:g} s; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        The `write` timeout in the global option `servers` limits the duration of the whole
        response. The limit counts from the end of the request headers. By default, the duration of
        a response is not limited.
    """,
    why="A long answer is cut off while tokens are still arriving; heartbeats do not help.",
    detection="""
        The `write` timeout is below one hour. A limit of up to one minute is reported as an error,
        and a longer limit as a warning. If no route in this file is known to stream, the severity
        is info.
    """,
    measured="""
        Caddy 2.6.2 with a limit of 1 s cut streams that took 2.7 s, including a stream with a
        comment every 0.4 s. `idle`, `read_body` and `read_header` did not cut the streams.
    """,
    fix="""
        Remove the `write` timeout. Removing the timeout affects all routes of the server.

            servers {
                timeouts {
                    idle 5m
                }
            }
    """,
    source="measured on loopback with Caddy 2.6.2; caddyserver.com, global options, timeouts",
)

RULES = (READ_TIMEOUT, WRITE_TIMEOUT)


def find(route: CaddyRoute, silence: ExpectedSilence) -> Iterator[Diagnostic]:
    """Find idle timeouts on a route that are shorter than the expected idle periods."""
    for transport in route.relay.inside("transport"):
        for option in transport.inside("read_timeout"):
            limit = duration_s("".join(option.texts[:1])) or 0
            severity = silence.severity(limit)
            if severity is not None:
                word = option.words[1]
                yield diagnostic_at(
                    READ_TIMEOUT,
                    option.source,
                    word.span,
                    Edit(*word.span, "1h"),
                    severity=severity,
                    limit=limit,
                    expected=silence.reason,
                )


def find_global(config: CaddyConfig) -> Iterator[Diagnostic]:
    """Find global options that limit the duration of every response."""
    for servers in config.globals:
        if servers.name != "servers":
            continue
        for timeouts in servers.inside("timeouts"):
            for option in timeouts.inside("write"):
                limit = duration_s("".join(option.texts[:1])) or 0
                severity = total_limit_severity(limit)
                if severity is not None:
                    yield diagnostic_at(
                        WRITE_TIMEOUT,
                        option.source,
                        option.span,
                        *delete_directive(option),
                        severity=severity,
                        limit=limit,
                    )
