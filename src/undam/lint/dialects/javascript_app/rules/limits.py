"""Rules JSA401 and JSA402: idle timeouts, and limits on the duration of a function."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at, for_route
from undam.lint.dialects.javascript_app.parser import JavaScriptProgram, option, pair_of
from undam.lint.dialects.javascript_app.routes import RouteUse, ScriptRoute, rewrite_limit
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit

if TYPE_CHECKING:
    from tree_sitter import Node

PROXY_TIMEOUT = ConfigRule(
    code="JSA401",
    slug="rewrites-idle-timeout",
    severity=Severity.WARNING,
    message="rewrites() in Next.js cuts {path} after {limit:g} s of silence{default}, {reason}",
    safety=Safety.UNSAFE,
    what="`experimental.proxyTimeout` in Next.js is shorter than the longest silence of a stream.",
    why="""
        A model is silent until its first token and while it calls tools. When the limit expires,
        Next.js ends the response, and the client receives a truncated body.
    """,
    detection="""
        For a rewrite to another server, `experimental.proxyTimeout` (30 s by default) is too short
        for the known heartbeat interval. If no heartbeat interval is known, the limit is compared
        with the setting `silence`.
    """,
    measured="""
        Next.js 16.4.6: a silent stream was cut at the limit; a stream with data was not cut.
    """,
    fix="""
        Raise the limit, and let the backend send heartbeats.

            experimental: { proxyTimeout: 3_600_000 }
    """,
    source=(
        "measured on loopback with next 16.4.6; Next.js source code, router-utils/proxy-request.js"
    ),
)

DURATION = ConfigRule(
    code="JSA402",
    slug="route-max-duration",
    severity=Severity.WARNING,
    message="on Vercel, maxDuration cuts {path} after {limit:g} s; heartbeats do not help",
    safety=Safety.UNSAFE,
    what="""
        `maxDuration` of a Next.js route limits how long its function may run. Vercel counts the
        whole stream; a server of your own ignores the value.
    """,
    why="A longer answer is cut off while tokens are still arriving; heartbeats do not help.",
    detection="""
        A Next.js route sends a stream and sets `maxDuration` below 300 s, which is Vercel's default
        and is permitted in every plan.
    """,
    measured="No, because Vercel cannot be run locally; the rule relies on documentation.",
    fix="""
        Remove the limit, or raise it to the maximum of your plan.

            export const maxDuration = 300;
    """,
    source=(
        "nextjs.org, route segment config, maxDuration (2026-04-15); vercel.com, "
        "functions/configuring-functions/duration (2026-08-24); accessed 2026-11"
    ),
)

RULES = (PROXY_TIMEOUT, DURATION)

_NEW_MS = "3_600_000"
_VERCEL_DEFAULT_S = 300


def find(
    script: JavaScriptProgram, routes: list[ScriptRoute], settings: Settings
) -> Iterator[Diagnostic]:
    """Find rewrites whose idle timeout is too short."""
    for route in routes:
        if route.use is not RouteUse.REWRITE or route.config is None:
            continue
        experimental = option(script, route.config, "experimental")
        value = option(script, experimental, "proxyTimeout")
        limit = rewrite_limit(script, route.config)
        severity = None if limit is None else settings.silence.severity(limit)
        if limit is None or severity is None:
            continue
        pair = pair_of(script, route.config, "rewrites")
        assert pair is not None  # the configuration was found by this key
        if value is not None:
            subject = value
            edit = Edit(script.start(value), script.end(value), _NEW_MS)
        elif experimental is not None:
            subject = _key(pair)
            start = script.start(experimental) + 1
            more = "," if experimental.named_children else " "
            edit = Edit(start, start, f" proxyTimeout: {_NEW_MS}{more}")
        else:
            subject = _key(pair)
            text = f"experimental: {{ proxyTimeout: {_NEW_MS} }}, "
            edit = Edit(script.start(pair), script.start(pair), text)
        found = diagnostic_at(
            PROXY_TIMEOUT, script.source, script.span(subject), edit, severity=severity,
            path=route.assessed.name, limit=limit, reason=settings.silence.reason,
            default="" if value is not None else " (its default)",
        )  # fmt: skip
        yield from for_route(route.assessed, [found])


def find_durations(script: JavaScriptProgram, routes: list[ScriptRoute]) -> Iterator[Diagnostic]:
    """Find Next.js routes whose function may run for a shorter time than a stream may last."""
    streams = [one for one in routes if one.use is RouteUse.RESPONSE]
    for node in script.of_type("variable_declarator"):
        name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
        if name is None or value is None or script.text(name) != "maxDuration":
            continue
        text = script.text(value)
        limit = int(text) if text.isascii() and text.isdecimal() and len(text) < 9 else 0
        for route in streams if 0 < limit < _VERCEL_DEFAULT_S else ():
            edit = Edit(script.start(value), script.end(value), str(_VERCEL_DEFAULT_S))
            found = diagnostic_at(
                DURATION, script.source, script.span(value), edit,
                path=route.assessed.name, limit=limit,
            )  # fmt: skip
            yield from for_route(route.assessed, [found])


def _key(pair: Node) -> Node:
    return pair.child_by_field_name("key") or pair.child_by_field_name("name") or pair
