"""APA101-APA103: buffers of FastCGI and AJP, and output filters that hold the stream."""

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
        Over FastCGI and AJP, httpd collects the data of the application and passes it on when its
        buffer is full. With `flushpackets=on` it passes on each packet; with `auto` it waits for a
        pause in the stream.
    """,
    why="Readers receive tokens in blocks of 4 KB, and the first token with the first block.",
    detection="""
        A ProxyPass or BalancerMember with fcgi:// or ajp:// on a streaming route does not have
        `flushpackets=on`, and no <Proxy> section for the same URL has it.
    """,
    measured="""
        httpd 2.4.71, 150 events of 59 bytes, 5 ms apart, over FastCGI: 61 events per read, also
        with `auto`; with `flushpackets=on` one event per read. Over uwsgi and SCGI each event
        passed at once without any setting. AJP was not measured.
    """,
    fix="""
        Set the parameter on the line of the route. `SetHandler "proxy:fcgi://..."` takes no
        parameters, so set it in a <Proxy> section for the same URL.

            ProxyPass "/v1/" "fcgi://127.0.0.1:9000/" flushpackets=on
    """,
    source="measured on loopback with httpd 2.4.71; httpd.apache.org, mod_proxy, flushpackets",
)

RATE_LIMITED = ConfigRule(
    code="APA102",
    slug="rate-limit-on-stream",
    severity=Severity.ERROR,
    message="the RATE_LIMIT filter holds the stream: it sends every 200 ms",
    safety=Safety.NONE,
    what="mod_ratelimit collects the data for 200 ms, sends it, and sleeps.",
    why="""
        Tokens arrive in bursts at any rate, even one that the stream never reaches. With a low rate
        they fall further and further behind.
    """,
    detection="""
        SetOutputFilter or AddOutputFilterByType applies RATE_LIMIT to a streaming route, and
        `rate-limit` is set there.
    """,
    measured="""
        httpd 2.4.71 with `rate-limit 400` (KiB/s), 200 events 5 ms apart: 40 events per read, half
        of them more than 300 ms late; without the filter, at most a few ms.
    """,
    fix="""
        Remove the filter from the streaming route only, because other routes may need the limit.

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
        mod_ext_filter pipes the response through another program. It reads the output of that
        program when a buffer is full or the response ends.
    """,
    why="""
        Even `cat`, which does not buffer, turns a stream into blocks of 4 KB. A program with
        buffers of its own makes larger blocks.
    """,
    detection="""
        SetOutputFilter or AddOutputFilterByType applies an output filter of ExtFilterDefine to a
        streaming route.
    """,
    measured="""
        httpd 2.4.71, 200 events 5 ms apart through `cat`, and through `sed`: 19 events per read;
        without the filter, one. The filters inside httpd (DEFLATE, BROTLI_COMPRESS, SUBSTITUTE,
        SED, INCLUDES, BUFFER) passed each event at once.
    """,
    fix="""
        Remove the filter from the streaming route only, because other routes may need it.

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
    """Find a FastCGI or AJP worker whose packets are not flushed."""
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
    """Return the names of the output filters that are external programs, in lower case."""
    return frozenset(
        one.texts[0].lower()
        for one in settings_of(list(config.root.all_scopes()), "extfilterdefine")
        if not any(text.lower() == "mode=input" for text in one.texts)
    )


def find_filters(scopes: list[ApacheScope], external: frozenset[str]) -> Iterator[Diagnostic]:
    """Find output filters that hold event streams.

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
    """Yield each directive that applies filters to event streams, and the word with their names."""
    chosen = settings_of(scopes, "setoutputfilter")
    if chosen:
        yield chosen[-1], chosen[-1].args[0]
    for one in settings_of(scopes, "addoutputfilterbytype"):
        if any(text.lower() in {_EVENT_STREAM, "*/*"} for text in one.texts[1:]):
            yield one, one.args[0]
