"""Rule APA401: timeouts that cut off idle streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.apache.parser import ApacheDirective
from undam.lint.dialects.apache.routes import (
    ApacheRoute,
    ProxyWorker,
    SectionIndex,
    set_parameter,
)
from undam.lint.limits import ExpectedSilence
from undam.rules import Severity

SHORT_TIMEOUT = ConfigRule(
    code="APA401",
    slug="short-proxy-timeout",
    severity=Severity.WARNING,
    message="a stream is cut after {limit} s of silence, {expected}",
    safety=Safety.UNSAFE,
    what="""
        httpd ends a response if the origin sends nothing for longer than the worker's `timeout`. If
        the worker does not set `timeout`, httpd uses `ProxyTimeout`. If `ProxyTimeout` is not set
        either, httpd uses `Timeout` (300 s in Debian's apache2.conf). If `Timeout` is not set
        either, the limit is 60 s.
    """,
    why="""
        If the model sends nothing during queueing, reasoning or a tool call, the client receives a
        truncated stream.
    """,
    detection="""
        The idle limit of a streaming route is below the expected silence (setting `silence`, 300 s
        by default). If the heartbeat interval is known, an idle limit of at most one interval is an
        error. A limit between one and two intervals is a warning.
    """,
    measured="""
        httpd 2.4.71 with a limit of 1 s closed a stream that was silent for 2.5 s. The limit was
        set in `timeout`, in `ProxyTimeout`, in `Timeout` or on a BalancerMember. A comment every
        0.4 s kept the stream open. `timeout` on a ProxyPass to a balancer, `connectiontimeout` and
        `RequestReadTimeout` did not cut the stream.
    """,
    fix="""
        Set a `timeout` of one hour on the ProxyPass or BalancerMember line. With a longer limit, a
        dead origin is detected later. RewriteRule and SetHandler accept no parameters, so set
        `ProxyTimeout` for their routes.

            ProxyPass "/v1/" "http://127.0.0.1:9000/v1/" timeout=3600
    """,
    source=(
        "measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, ProxyTimeout and "
        "the parameters of ProxyPass"
    ),
)

RULES = (SHORT_TIMEOUT,)

_DEFAULT_S = 60
_LONG_S = 3600


@dataclass(frozen=True, slots=True)
class WorkerLimit:
    """A time limit in seconds, and its position in the line that sets it.

    Args:
        is_default: no line sets it; ``line`` is that of the worker.
    """

    seconds: int
    line: ApacheDirective
    span: tuple[int, int]
    is_default: bool = False


def find(
    route: ApacheRoute, worker: ProxyWorker, sections: SectionIndex, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Report a worker's idle timeout if it is shorter than the expected idle periods."""
    limit = limit_in_force(route, worker, sections)
    severity = silence.severity(limit.seconds) if limit else None
    if limit is None or severity is None:
        return
    line, span = limit.line, limit.span
    edits = set_parameter(route, worker, "timeout", str(_LONG_S))
    # A diagnostic must be in the file that its edits change.
    if line.source.path != worker.line.source.path and edits:
        line, span = worker.line, worker.line.span
    yield diagnostic_at(
        SHORT_TIMEOUT,
        line.source,
        span,
        *edits,
        severity=severity,
        limit=limit.seconds,
        expected=silence.reason,
    )


def limit_in_force(
    route: ApacheRoute, worker: ProxyWorker, sections: SectionIndex
) -> WorkerLimit | None:
    """Return the idle timeout that applies to a worker; ``None`` if its value cannot be parsed."""
    word, line = worker.parameter("timeout"), worker.line
    if word is None:
        for scope in sections.of_worker(worker):
            if any(text.lower().startswith("timeout=") for text in scope.args[1:]):
                return None
            for one in scope.named("proxyset"):
                for arg in one.args:
                    if arg.text.lower().startswith("timeout="):
                        word, line = arg, one
    if word is not None:
        return _parsed(word.text.partition("=")[2], line, word.span)
    server = route.line.scope.server
    for name in ("proxytimeout", "timeout"):
        for scope in (server, server.root):
            last = scope.last(name)
            if last is not None:
                return _parsed(last.texts[0], last, last.span)
    return WorkerLimit(_DEFAULT_S, worker.line, worker.line.span, is_default=True)


def _parsed(text: str, line: ApacheDirective, span: tuple[int, int]) -> WorkerLimit | None:
    is_number = text.isascii() and text.isdecimal() and len(text) < 12
    return WorkerLimit(int(text), line, span) if is_number else None
