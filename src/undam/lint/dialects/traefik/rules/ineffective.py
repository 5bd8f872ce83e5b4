"""Rules TRF201-TRF202: settings that look like a fix but do not affect streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.traefik.parser import at, entry_at, existing, seconds_of
from undam.lint.dialects.traefik.routes import Middleware
from undam.lint.dialects.traefik.rules.buffering import response_buffer_switch
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry
from undam.textfiles.tree_edit import remove_item

NO_RESPONSE_BUFFER = ConfigRule(
    code="TRF201",
    slug="disable-response-buffer",
    severity=Severity.WARNING,
    message="disableResponseBuffer does not stop the middleware {name} from holding the response",
    safety=Safety.UNSAFE,
    what="""
        According to Traefik's documentation, `disableResponseBuffer` streams the response while the
        request size is limited.
    """,
    why="""
        Traefik 3.7.15 accepts `disableResponseBuffer`, but still holds the whole response.
        According to the Traefik 3.7.9 source, the option can be set only in code. A later Traefik
        version may support the option.
    """,
    detection="A streaming router uses a `buffering` middleware that sets `disableResponseBuffer`.",
    measured="""
        Traefik 3.7.15, 300 events 5 ms apart, with and without disableRequestBuffer: all events
        arrived together at the end.
    """,
    fix="""
        Remove the `buffering` middleware from the streaming router. Without the middleware, its
        limit on the request size no longer applies to this router. With a Traefik version other
        than 3.7.15, measure before you remove the middleware:

            undam check URL --beacon
    """,
    source="measured on loopback with Traefik 3.7.15; doc.traefik.io, Buffering",
)

FLUSH_INTERVAL = ConfigRule(
    code="TRF202",
    slug="flush-interval-ignored",
    severity=Severity.INFO,
    message="flushInterval {interval} has no effect here: Traefik flushes each write of a stream",
    safety=Safety.NONE,
    what="`responseForwarding.flushInterval` sets the time between flushes, 100 ms by default.",
    why="""
        `flushInterval` does no harm, but it does not release a held stream. Traefik flushes event
        streams, and all other bodies without a Content-Length, after each write, whatever the
        interval is.
    """,
    detection="The service of a streaming router has a `flushInterval` above 0.",
    measured="""
        Traefik 3.7.15 with an interval of 1 s, 300 events 5 ms apart: each event arrived
        immediately.
    """,
    fix="No change is needed; `flushInterval` can be removed.",
    source=(
        "measured on loopback with Traefik 3.7.15; doc.traefik.io, HTTP services, "
        "responseForwarding"
    ),
)

RULES = (NO_RESPONSE_BUFFER, FLUSH_INTERVAL)


def find_buffer_switch(
    middleware: Middleware, source: Source, rule: ConfigRule = NO_RESPONSE_BUFFER
) -> Iterator[Diagnostic]:
    """Report a buffering middleware that was meant to leave responses unbuffered but does not.

    Args:
        rule: the rule to report; resources of Kubernetes have rules of their own.
    """
    switch = response_buffer_switch(middleware)
    if switch is None:
        return
    edit = remove_item(source, *middleware.listed) if middleware.listed else None
    span = switch.key.start, switch.key.end
    yield diagnostic_at(rule, source, span, *existing(edit), name=middleware.name)


def find_flush_interval(service: Entry, source: Source) -> Iterator[Diagnostic]:
    """Report a service that sets a flush interval."""
    forwarding = at(service.value, "loadbalancer", "responseforwarding")
    interval = entry_at(forwarding, "flushinterval")
    if interval and seconds_of(interval.value):
        span = interval.key.start, interval.key.end
        yield diagnostic_at(FLUSH_INTERVAL, source, span, interval=interval.value.text)
