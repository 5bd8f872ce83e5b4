"""APA401: timeouts that cut a silent stream."""

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
    message=("a stream that is silent for {limit} s is cut, {expected}"),
    safety=Safety.UNSAFE,
    what="""
        The `timeout` of a worker ends a response when the origin has sent nothing for this long.
        Without it, `ProxyTimeout` applies, then `Timeout`, then 60 s. (Debian's apache2.conf sets
        300 s.)
    """,
    why="""
        A model that is reasoning, queued or calling a tool sends nothing, and the client receives a
        truncated stream.
    """,
    detection="""
        The limit of a streaming route is below the expected silence (setting `silence`, 300 s by
        default). If heartbeats are known, the limit is below two heartbeat intervals instead. Up to
        one interval it is reported as an error; above that, as a warning.
    """,
    measured="""
        httpd 2.4.71 with a limit of 1 s, in any of the three places and on a BalancerMember, cut a
        stream during a silence of 2.5 s; a comment every 0.4 s kept it open. `timeout` on a
        ProxyPass to a balancer, `connectiontimeout` and RequestReadTimeout did not cut the stream.
    """,
    fix="""
        Set one hour on the line of the route. A dead origin is then detected that much later.
        RewriteRule and SetHandler take no parameters, so set ProxyTimeout for them.

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
    """A limit in seconds, and the part of a line that sets it.

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
    """Find an idle limit of a worker that is shorter than the expected silence."""
    limit = limit_in_force(route, worker, sections)
    severity = silence.severity(limit.seconds) if limit else None
    if limit is None or severity is None:
        return
    line, span = limit.line, limit.span
    edits = set_parameter(route, worker, "timeout", str(_LONG_S))
    # A diagnostic must be located in the file that its edits change.
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
    """Return the limit that applies to a worker; ``None`` if its value cannot be parsed."""
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
