"""Rules ING201-ING205: snippets and values that have no effect or are rejected."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.ingress_nginx.parser import (
    PREFIX,
    SnippetDirective,
    StringMap,
    entry_span,
    remove_snippet_directive,
    snippet_directives,
    value_diagnostic,
)
from undam.lint.dialects.ingress_nginx.routes import CONFIG_KEYS
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry

SNIPPET_TWICE = ConfigRule(
    code="ING201",
    slug="snippet-says-it-twice",
    severity=Severity.WARNING,
    message=(
        "{directive} in a snippet duplicates the line that the controller writes, "
        "and nginx rejects duplicate directives"
    ),
    safety=Safety.SAFE,
    what="""
        The controller writes `proxy_buffering`, `proxy_read_timeout` and other directives into each
        location, and inserts the snippet after them. nginx rejects the result: `"proxy_buffering"
        directive is duplicate`.
    """,
    why="""
        The controller keeps its old configuration, or its webhook rejects the Ingress. In both
        cases, the snippet line has no effect and blocks all later changes.
    """,
    detection="""
        The `configuration-snippet` of a streaming Ingress sets a directive that the controller
        writes: `proxy_buffering`, `proxy_request_buffering`, `proxy_http_version`,
        `proxy_buffer_size`, `proxy_buffers`, `proxy_read_timeout`, `proxy_send_timeout` or
        `proxy_connect_timeout`.
    """,
    fix="""
        Use the annotation of the same name instead of the directive. An automatic fix is offered if
        the line only repeats the default.

            nginx.ingress.kubernetes.io/proxy-buffering: "off"
            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=(
        "kubernetes/ingress-nginx, rootfs/etc/nginx/template/nginx.tmpl, which writes the lines "
        "before the snippet; nginx 1.22.1, which rejects the duplicate (`nginx -t`)"
    ),
)
ACCEL_UPSTREAM = ConfigRule(
    code="ING202",
    slug="x-accel-buffering-sent-upstream",
    severity=Severity.INFO,
    message=(
        "proxy_set_header X-Accel-Buffering sends the header to the service, where it has no effect"
    ),
    safety=Safety.SAFE,
    what="""
        `X-Accel-Buffering` is a response header that nginx obeys if the service sends it.
        `proxy_set_header` adds the header to the request instead.
    """,
    why="""
        By default, the line is harmless, because ingress-nginx does not buffer. If
        `proxy-buffering` is "on", the line looks like a fix but has no effect. The severity is then
        warning.
    """,
    detection="""
        The `configuration-snippet` of a streaming Ingress sets `X-Accel-Buffering` with
        `proxy_set_header`.
    """,
    measured="""
        nginx 1.22.1 with buffering: the first event arrived 1651 ms late both with and without the
        header in the request.
    """,
    fix="""
        Remove the `proxy_set_header` line. If buffering is on, set this annotation:

            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=(
        "measured on loopback with nginx 1.22.1; kubernetes.github.io/ingress-nginx, user guide, "
        "annotations"
    ),
)
CHUNKS_OFF = ConfigRule(
    code="ING203",
    slug="chunked-transfer-encoding-off",
    severity=Severity.WARNING,
    message=(
        "chunked_transfer_encoding off removes only the chunk framing, so a stream that is cut "
        "looks complete"
    ),
    safety=Safety.SAFE,
    what="""
        In a `configuration-snippet`, `chunked_transfer_encoding off` changes only the framing of
        the body for HTTP/1.1 clients. The directive does not affect the timing of writes.
    """,
    why="""
        Many configuration recipes contain `chunked_transfer_encoding off`, but the directive does
        not release a held stream. Without chunks, a client cannot distinguish a cut stream from a
        complete one. An nginx closer to the client holds a body without chunks in blocks of 4 KB.
    """,
    detection="""
        The `configuration-snippet` of a streaming Ingress contains `chunked_transfer_encoding off`.
    """,
    measured="""
        nginx 1.22.1 with a second nginx closer to the client, which used HTTP/1.1: the second nginx
        held events for 1651 ms with `chunked_transfer_encoding off`, and for 0.1 ms without it.
    """,
    fix="Remove the `chunked_transfer_encoding` line.",
    source="measured on loopback with nginx 1.22.1; RFC 9112, section 8",
)
UNQUOTED = ConfigRule(
    code="ING204",
    slug="value-without-quotes",
    severity=Severity.WARNING,
    message="{key}: {value} is not a string in YAML, and Kubernetes accepts only strings here",
    safety=Safety.SAFE,
    what="""
        Annotation values and ConfigMap values must be strings. In Kubernetes YAML, `off` without
        quotes is a boolean, and `3600` without quotes is a number.
    """,
    why="""
        The API server rejects the whole object, so the previous configuration stays in force.
    """,
    detection="""
        An annotation of a streaming Ingress, or a ConfigMap key of ingress-nginx that affects
        streams, has an unquoted value. YAML parses this value as a boolean, a number or null.
    """,
    fix="""
        Put the value in quotes.

            nginx.ingress.kubernetes.io/proxy-buffering: "off"
    """,
    source=(
        'kubernetes.github.io/ingress-nginx, user guide, annotations ("Annotation keys and '
        'values can only be strings") and configmap; yaml.org/type/bool.html'
    ),
)
UNIT = ConfigRule(
    code="ING205",
    slug="timeout-with-a-unit",
    severity=Severity.WARNING,
    message=(
        "{key} takes seconds without a unit: {value} is ignored, and the default of 60 s applies"
    ),
    safety=Safety.SAFE,
    what="ingress-nginx timeouts are whole numbers of seconds.",
    why="""
        A value such as "3600s" is not a number and is ignored. The limit stays at 60 s, and a
        silent stream is cut although the annotation seems to raise the limit.
    """,
    detection="""
        The annotation `proxy-read-timeout` or `proxy-send-timeout` of a streaming Ingress has a
        unit, such as `3600s`.
    """,
    fix="""
        Write the number of seconds without a unit.

            nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
    """,
    source=(
        "kubernetes.github.io/ingress-nginx, user guide, annotations, custom timeouts: all values "
        "are unitless seconds"
    ),
)

RULES = (SNIPPET_TWICE, ACCEL_UPSTREAM, CHUNKS_OFF, UNQUOTED, UNIT)

# Values that Kubernetes does not accept as strings: booleans, nulls and numbers in YAML 1.1.
_NOT_STRING = re.compile(
    r"(?:y|n|yes|no|on|off|true|false|null|~|[-+]?\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?)?", re.IGNORECASE
)
_TIME_WITH_UNIT = re.compile(r"(\d{1,9})(ms|[smhd])")
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIMEOUTS = ("proxy-read-timeout", "proxy-send-timeout")


WRITTEN_BY_CONTROLLER = frozenset(
    {
        *("proxy_buffering", "proxy_request_buffering", "proxy_http_version", "proxy_buffer_size"),
        *("proxy_buffers", "proxy_read_timeout", "proxy_send_timeout", "proxy_connect_timeout"),
    }
)
"""Directives that the controller writes into each location, before the snippet."""
_DEFAULTS = {("proxy_buffering", "off"), ("proxy_http_version", "1.1")}


def find_in_snippet(annotations: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find lines in a configuration snippet that have no effect or are rejected by nginx."""
    entry = annotations.entry("configuration-snippet")
    if entry is None:
        return
    for directive in snippet_directives(source, entry):
        removal = remove_snippet_directive(source, entry, directive)
        edits = [removal] if removal is not None else []
        if directive.name in WRITTEN_BY_CONTROLLER:
            is_default = (directive.name, " ".join(directive.args)) in _DEFAULTS
            yield diagnostic_at(
                SNIPPET_TWICE,
                source,
                directive.span,
                *(edits if is_default else ()),
                directive=directive.name,
            )
        elif directive.name == "chunked_transfer_encoding" and directive.args == ("off",):
            yield diagnostic_at(CHUNKS_OFF, source, directive.span, *edits)
        elif _sets_accel_header(directive):
            is_held = annotations.value("proxy-buffering").lower() == "on"
            severity = Severity.WARNING if is_held else None
            yield diagnostic_at(ACCEL_UPSTREAM, source, directive.span, *edits, severity=severity)


def _sets_accel_header(directive: SnippetDirective) -> bool:
    is_header = directive.name == "proxy_set_header" and bool(directive.args)
    return is_header and directive.args[0].lower() == "x-accel-buffering"


def find_unquoted(values: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find values that YAML does not parse as strings."""
    for entry in values.node.entries:
        key, node = entry.key.text, entry.value
        is_ours = key.startswith(PREFIX) if values.prefix else key in CONFIG_KEYS
        is_plain = node.kind == "scalar" and not node.quoted and node.form != "block"
        if is_ours and is_plain and not node.has_properties and _NOT_STRING.fullmatch(node.text):
            yield diagnostic_at(
                UNQUOTED,
                source,
                entry_span(source, entry),
                *_quote(entry),
                key=key.removeprefix(PREFIX),
                value=node.text or "(nothing)",
            )


def _quote(entry: Entry) -> list[Edit]:
    node = entry.value
    if node.aliased or node.start == node.end:
        return []
    return [Edit(node.start, node.end, f'"{node.text}"')]


def find_units(annotations: StringMap, source: Source) -> Iterator[Diagnostic]:
    """Find timeouts that are written with a unit."""
    for key in _TIMEOUTS:
        time = _TIME_WITH_UNIT.fullmatch(annotations.value(key))
        if time:
            seconds = max(1, round(int(time[1]) * _UNITS_S[time[2]]))
            yield value_diagnostic(
                UNIT, annotations, key, source, new=str(seconds), key=key, value=time[0]
            )
