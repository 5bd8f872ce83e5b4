"""Rules ING101-ING103: buffering for a single Ingress or for the whole cluster."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.ingress_nginx.parser import StringMap, value_diagnostic
from undam.lint.dialects.ingress_nginx.routes import Ingress
from undam.rules import Severity
from undam.textfiles.source import Source

BUFFERING_ON = ConfigRule(
    code="ING101",
    slug="proxy-buffering-on",
    severity=Severity.WARNING,
    message=(
        "proxy-buffering is on for a streaming Ingress: the response head is delayed until the "
        "first byte of the body, and a body that is not chunked arrives in blocks of 4 KB"
    ),
    safety=Safety.SAFE,
    what="""
        By default, ingress-nginx does not buffer responses; the annotation `proxy-buffering` turns
        buffering on.
    """,
    why="""
        Over HTTP/1.1 to the service (the default), a chunked stream is not held. However, the
        response head is delayed until the first byte of the body arrives. A body delimited by
        connection close arrives in blocks of 4 KB. If `proxy-http-version` is "1.0" as well, every
        stream arrives in blocks, and the severity is error.
    """,
    detection="""
        The annotation `proxy-buffering` is "on", and the path or service name indicates that the
        Ingress streams.
    """,
    measured="""
        nginx 1.22.1 with buffering, over HTTP/1.1: events were 0.1 ms late with a chunked body and
        1651 ms late with a body that was not chunked. Over HTTP/1.0, events of 60 bytes were 1654
        ms late and arrived 60 at a time.
    """,
    fix="""
        Turn buffering off. An automatic fix is offered if all paths of the Ingress serve streams.
        Otherwise, first move the streaming paths to a separate Ingress.

            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations"
    ),
)
BUFFERING_EVERYWHERE = ConfigRule(
    code="ING102",
    slug="proxy-buffering-on-everywhere",
    severity=Severity.INFO,
    message="the controller buffers every Ingress that does not turn buffering off",
    safety=Safety.UNSAFE,
    what="The ConfigMap of ingress-nginx turns buffering on for the whole cluster.",
    why="""
        If the ConfigMap turns buffering on, each streaming Ingress needs the annotation
        `proxy-buffering: "off"`. Without that annotation, the response head is delayed until the
        first byte of the body arrives. A body that is not chunked arrives in blocks of 4 KB.
    """,
    detection="""
        The ConfigMap of the controller sets `proxy-buffering: "on"`. The severity is info, because
        the ConfigMap does not show which Ingresses stream.
    """,
    measured="The measurements for ING101 apply (nginx 1.22.1).",
    fix="""
        Turn buffering off in the ConfigMap; this change affects every Ingress. Alternatively, set
        `proxy-buffering: "off"` on each Ingress that streams.

            proxy-buffering: "off"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "configmap"
    ),
)
GZIP = ConfigRule(
    code="ING103",
    slug="gzip-of-event-streams",
    severity=Severity.WARNING,
    message=(
        "gzip-types includes {kind} and proxy-buffering is on: event streams are held until they "
        "end"
    ),
    safety=Safety.UNSAFE,
    what="The controller buffers event streams and then compresses them.",
    why="""
        Buffering and compression together hold a stream longer than buffering alone. A short answer
        arrives only when it is complete. A long answer arrives in blocks of about 28 KB of
        compressed output. Using HTTP/1.1 to the service does not help.
    """,
    detection="""
        The ConfigMap sets `use-gzip: "true"` and `proxy-buffering: "on"`, and its `gzip-types`
        include `text/event-stream` or `*`. With buffering off (the default), nginx flushes after
        each event.
    """,
    measured="""
        nginx 1.22.1 with 120 events in 3 s: all events arrived together, and the first one was 3001
        ms late. With buffering off, the first event was 0.2 ms late.
    """,
    fix="""
        Turn buffering off; this change affects every Ingress. Alternatively, remove
        `text/event-stream` (or `*`) from `gzip-types`.

            proxy-buffering: "off"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "configmap"
    ),
)

RULES = (BUFFERING_ON, BUFFERING_EVERYWHERE, GZIP)


def find_in_ingress(
    ingress: Ingress, annotations: StringMap, source: Source
) -> Iterator[Diagnostic]:
    """Find buffering that is enabled by an annotation."""
    if annotations.value("proxy-buffering").lower() == "on":
        is_http_10 = annotations.value("proxy-http-version") == "1.0"
        yield value_diagnostic(
            BUFFERING_ON,
            annotations,
            "proxy-buffering",
            source,
            new="off" if ingress.all_stream else None,
            severity=Severity.ERROR if is_http_10 else None,
        )


def find_in_config_map(data: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find cluster-wide buffering, and compression that buffers."""
    if data.value("proxy-buffering").lower() == "on":
        kind = _compressed_stream_type(data)
        rule = GZIP if kind else BUFFERING_EVERYWHERE
        yield value_diagnostic(rule, data, "proxy-buffering", source, new="off", kind=kind)


def _compressed_stream_type(data: StringMap) -> str:
    """Return the gzip-types item that matches event streams; empty if there is none."""
    if data.value("use-gzip").lower() != "true":
        return ""
    kinds = data.value("gzip-types").lower().replace(",", " ").split()
    return next((kind for kind in kinds if kind in {"*", "text/event-stream"}), "")
