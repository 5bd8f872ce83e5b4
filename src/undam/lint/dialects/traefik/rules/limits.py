"""Rules TRF401-TRF402: limits on entry points and transports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.traefik.parser import at, entry_at, existing, local_name, seconds_of
from undam.lint.dialects.traefik.routes import TraefikConfig, TraefikRouter
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import replace_value

WRITE_TIMEOUT = ConfigRule(
    code="TRF401",
    slug="write-timeout",
    severity=Severity.ERROR,
    message=(
        "writeTimeout {limit} of the entry point {name} cuts off responses; heartbeats do not help"
    ),
    safety=Safety.UNSAFE,
    what="""
        `respondingTimeouts.writeTimeout` limits the time from the end of the request head to the
        end of the response.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving, even if heartbeats
        are sent.
    """,
    detection="""
        An entry point has a limit above 0 and below one hour. Either a streaming router in the same
        file uses this entry point, or `--stream` is given. A limit of at most one minute is an
        error; a higher limit is a warning. If the routers are in other files, the severity is info.
    """,
    measured="""
        Traefik 3.7.15 with a limit of 2 s cut the response 2.0 s after the request, while events
        arrived every 100 ms. A readTimeout and an idleTimeout of 2 s did not cut the stream.
    """,
    fix="""
        Set writeTimeout to 0, the default, which means no limit. The change applies to all routers
        of the entry point.

            transport:
              respondingTimeouts:
                writeTimeout: 0s
    """,
    source=(
        "measured on loopback with Traefik 3.7.15; doc.traefik.io, EntryPoints, respondingTimeouts"
    ),
)

HEADER_TIMEOUT = ConfigRule(
    code="TRF402",
    slug="response-header-timeout",
    severity=Severity.WARNING,
    message="responseHeaderTimeout {limit} aborts a request whose response head takes longer",
    safety=Safety.UNSAFE,
    what="""
        `forwardingTimeouts.responseHeaderTimeout` limits how long the server may take to send the
        response head.
    """,
    why="""
        Many servers send the response head together with the first token. If the prefill takes
        longer than the limit, the client receives a 504.
    """,
    detection="""
        `responseHeaderTimeout` is above 0 and below one minute in the static `serversTransport` or
        in the transport of a streaming router's service.
    """,
    measured="""
        Traefik 3.7.15 with a limit of 1 s, in the static and in a dynamic transport, returned a 504
        because the response head arrived only after 2.5 s.
    """,
    fix="""
        Set responseHeaderTimeout to 0, the default, which means no limit. The change applies to all
        services that use the same transport.

            forwardingTimeouts:
              responseHeaderTimeout: 0s
    """,
    source="measured on loopback with Traefik 3.7.15; doc.traefik.io, ServersTransport",
)

RULES = (WRITE_TIMEOUT, HEADER_TIMEOUT)

# Model servers send the response headers within a minute, so a longer limit does no harm.
_SLOW_HEAD_S = 60.0


def find(config: TraefikConfig, service: Entry, source: Source) -> Iterator[Diagnostic]:
    """Find limits on the transport that the service of a streaming router uses."""
    name = at(service.value, "loadbalancer", "serverstransport")
    if name is not None:
        used = config.transports.get(local_name(name.text))
        yield from find_header_timeout(used.value if used else None, source, streams=True)


def find_static(
    config: TraefikConfig, routers: Iterable[TraefikRouter], source: Source, *, has_hints: bool
) -> Iterator[Diagnostic]:
    """Find limits in the static configuration.

    Args:
        routers: the streaming routers of the same file.
        has_hints: the user has stated which paths stream.
    """
    routers = list(routers)
    used = {id(point) for router in routers for point in config.entry_points_of(router)}
    for point in config.entry_points.values():
        timeouts = at(point.value, "transport", "respondingtimeouts")
        entry = entry_at(timeouts, "writetimeout")
        limit_s = seconds_of(entry.value) if entry else None
        severity = total_limit_severity(limit_s) if limit_s else None
        if entry and limit_s and severity:
            streams = has_hints or id(point) in used
            yield diagnostic_at(
                WRITE_TIMEOUT,
                source,
                (entry.key.start, entry.key.end),
                *(existing(_remove_limit(source, entry)) if streams else ()),
                severity=severity if streams else Severity.INFO,
                limit=f"{limit_s:g}s",
                name=point.key.text,
            )
    transport = at(config.root, "serverstransport")
    yield from find_header_timeout(transport, source, streams=has_hints or bool(routers))


def find_header_timeout(
    transport: Node | None, source: Source, *, streams: bool, rule: ConfigRule = HEADER_TIMEOUT
) -> Iterator[Diagnostic]:
    """Report a transport whose timeout for response headers is too short.

    Args:
        rule: the rule to report; resources of Kubernetes have rules of their own.
        streams: streams are known to use the transport; if not, the severity is info.
    """
    entry = entry_at(at(transport, "forwardingtimeouts"), "responseheadertimeout")
    limit_s = seconds_of(entry.value) if entry else None
    if entry and limit_s and limit_s < _SLOW_HEAD_S:
        yield diagnostic_at(
            rule,
            source,
            (entry.key.start, entry.key.end),
            *(existing(_remove_limit(source, entry)) if streams else ()),
            severity=None if streams else Severity.INFO,
            limit=f"{limit_s:g}s",
        )


def _remove_limit(source: Source, entry: Entry) -> Edit | None:
    """Return the edit that disables a limit: ``0`` for a bare number, otherwise ``0s``."""
    is_bare = not entry.value.quoted and entry.value.text.isdecimal()
    return replace_value(source, entry.value, "0" if is_bare else "0s")
