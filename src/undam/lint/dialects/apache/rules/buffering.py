"""Rules APA101-APA103: FastCGI and AJP buffers, and output filters that hold the stream."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.apache.parser import ApacheConfig, ApacheDirective, ApacheScope
from undam.lint.dialects.apache.routes import (
    ApacheRoute,
    ProxyWorker,
    SectionIndex,
    set_parameter,
    settings_of,
)
from undam.rules import Severity
from undam.textfiles.tokens import Word

FASTCGI_HELD = ConfigRule(
    code="APA101",
    slug="packets-not-flushed",
    severity=Severity.ERROR,
    message="mod_proxy_{scheme} holds small events: {what}",
    safety=Safety.SAFE,
    what="""
        Over FastCGI and AJP, httpd collects the application's data and sends it only when the
        buffer is full. With `flushpackets=on`, httpd sends each packet immediately; with `auto`, it
        waits for a pause in the stream.
    """,
    why="""
        Tokens reach the client in 4 KB blocks; the first token arrives with the first full block.
    """,
    detection="""
        The ProxyPass or BalancerMember line of a streaming route has an fcgi:// or ajp:// URL.
        `flushpackets=on` is set neither on that line nor in a <Proxy> section for the same URL.
    """,
    measured="""
        httpd 2.4.71 over FastCGI, with 150 events of 59 bytes sent 5 ms apart: each read returned
        61 events, both by default and with `auto`. With `flushpackets=on`, each read returned one
        event. Over uwsgi and SCGI, httpd forwarded each event immediately by default. AJP was not
        measured.
    """,
    fix="""
        Set `flushpackets=on` on the ProxyPass or BalancerMember line. `SetHandler
        "proxy:fcgi://..."` accepts no parameters, so set `flushpackets=on` in a <Proxy> section for
        the same URL.

            ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, flushpackets",
)

RATE_LIMITED = ConfigRule(
    code="APA102",
    slug="rate-limit-on-stream",
    severity=Severity.ERROR,
    message="the RATE_LIMIT filter holds the stream and sends data only every 200 ms",
    safety=Safety.NONE,
    what="mod_ratelimit collects data for 200 ms, sends the data, and then sleeps.",
    why="""
        Tokens arrive in bursts even if the stream never reaches the rate limit. If the limit is too
        low, the delay grows throughout the stream.
    """,
    detection="""
        SetOutputFilter or AddOutputFilterByType applies RATE_LIMIT to a streaming route for which
        `rate-limit` is set.
    """,
    measured="""
        httpd 2.4.71 with `rate-limit 400` (KiB/s) and 200 events sent 5 ms apart: each read
        returned 40 events. Half of the events arrived more than 300 ms late. Without the RATE_LIMIT
        filter, events arrived at most a few ms late.
    """,
    fix="""
        Remove the filter only from the streaming route; other routes may need the limit.

            <Location "/v1/">
                SetOutputFilter NONE
            </Location>
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_ratelimit",
)

EXTERNAL_FILTER = ConfigRule(
    code="APA103",
    slug="external-filter-on-stream",
    severity=Severity.ERROR,
    message="the external filter {name!r} holds the stream",
    safety=Safety.NONE,
    what="""
        mod_ext_filter pipes the response through another program and reads that program's output
        only when a buffer is full or the response ends.
    """,
    why="""
        Even with `cat`, which does not buffer, the stream arrives in 4 KB blocks. A filter program
        with its own buffers makes the blocks even larger.
    """,
    detection="""
        ExtFilterDefine defines an output filter, and SetOutputFilter or AddOutputFilterByType
        applies it to a streaming route.
    """,
    measured="""
        httpd 2.4.71, with 200 events sent 5 ms apart through `cat` or `sed`: each read returned 19
        events. Without the filter, each read returned one event. httpd's built-in filters (DEFLATE,
        BROTLI_COMPRESS, SUBSTITUTE, SED, INCLUDES, BUFFER) forwarded each event immediately.
    """,
    fix="""
        Remove the filter only from the streaming route; other routes may need it.

            <Location "/v1/">
                SetOutputFilter NONE
            </Location>
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_ext_filter",
)

RULES = (FASTCGI_HELD, RATE_LIMITED, EXTERNAL_FILTER)

_EVENT_STREAM = "text/event-stream"
_BUFFERED_SCHEMES = frozenset({"fcgi", "ajp"})


def find_unflushed(
    route: ApacheRoute, worker: ProxyWorker, sections: SectionIndex
) -> Iterator[Diagnostic]:
    """Report a FastCGI or AJP worker whose packets are not flushed."""
    if worker.scheme not in _BUFFERED_SCHEMES or _is_flushed(worker, sections):
        return
    parameter = worker.parameter("flushpackets")
    yield diagnostic_at(
        FASTCGI_HELD,
        worker.line.source,
        parameter.span if parameter else worker.line.span,
        *set_parameter(route, worker, "flushpackets", "on"),
        scheme=worker.scheme,
        what=parameter.text if parameter else "flushpackets is off",
    )


def _is_flushed(worker: ProxyWorker, sections: SectionIndex) -> bool:
    parameter = worker.parameter("flushpackets")
    if parameter is not None:
        return parameter.text.lower().endswith("=on")
    for scope in sections.of_worker(worker):
        words = [*scope.args[1:], *(t for one in scope.named("proxyset") for t in one.texts)]
        if any(text.lower() == "flushpackets=on" for text in words):
            return True
    return False


def external_filters(config: ApacheConfig) -> frozenset[str]:
    """Return the names, in lower case, of the output filters that run external programs."""
    return frozenset(
        one.texts[0].lower()
        for one in settings_of(list(config.root.all_scopes()), "extfilterdefine")
        if not any(text.lower() == "mode=input" for text in one.texts)
    )


def find_filters(scopes: list[ApacheScope], external: frozenset[str]) -> Iterator[Diagnostic]:
    """Find output filters that hold back event streams.

    Args:
        external: the names of external filters.
    """
    is_limited = _has_rate_limit(scopes)
    for one, word in _output_filters(scopes):
        for name in word.text.split(";"):
            if name.upper() == "RATE_LIMIT" and is_limited:
                yield diagnostic_at(RATE_LIMITED, one.source, word.span)
            elif name.lower() in external:
                yield diagnostic_at(EXTERNAL_FILTER, one.source, word.span, name=name)


def _has_rate_limit(scopes: list[ApacheScope]) -> bool:
    if any(one.texts[0].lower() == "rate-limit" for one in settings_of(scopes, "setenv")):
        return True
    return any(
        text.lower().startswith("rate-limit")
        for one in settings_of(scopes, "setenvif", "setenvifexpr", "setenvifnocase")
        for text in one.texts
    )


def _output_filters(scopes: list[ApacheScope]) -> Iterator[tuple[ApacheDirective, Word]]:
    """Yield each directive that applies output filters to streams, and the word with the names."""
    chosen = settings_of(scopes, "setoutputfilter")
    if chosen:
        yield chosen[-1], chosen[-1].args[0]
    for one in settings_of(scopes, "addoutputfilterbytype"):
        if any(text.lower() in {_EVENT_STREAM, "*/*"} for text in one.texts[1:]):
            yield one, one.args[0]
