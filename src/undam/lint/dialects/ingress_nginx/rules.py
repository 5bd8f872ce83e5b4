"""What is wrong with an Ingress that streams, and with the ConfigMap of all Ingresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, diagnostic_at
from undam.lint.dialects.ingress_nginx import catalogue
from undam.lint.dialects.ingress_nginx.model import CONFIG_KEYS, PREFIX, Ingress, Values
from undam.lint.dialects.ingress_nginx.snippets import Line, remove_line, snippet_lines
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry
from undam.textfiles.tree_edit import replace_value

# What Kubernetes reads as something else than a text: YAML 1.1's booleans, null and numbers.
_NO_TEXT = re.compile(
    r"(?:y|n|yes|no|on|off|true|false|null|~|[-+]?\d[\d_]*(?:\.\d*)?(?:e[-+]?\d+)?)?", re.IGNORECASE
)
_UNITED = re.compile(r"(\d{1,9})(ms|[smhd])")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIMEOUTS = ("proxy-read-timeout", "proxy-send-timeout")

# Written by the controller into each location, before the snippet.
_WRITTEN = frozenset(
    {
        *("proxy_buffering", "proxy_request_buffering", "proxy_http_version", "proxy_buffer_size"),
        *("proxy_buffers", "proxy_read_timeout", "proxy_send_timeout", "proxy_connect_timeout"),
    }
)
_DEFAULTS = {("proxy_buffering", "off"), ("proxy_http_version", "1.1")}
_SHUTDOWN_S = 240.0


def find_in_ingress(ingress: Ingress, source: Source, chosen: Settings) -> Iterator[Diagnostic]:
    """All that its annotations do to its streams."""
    annotations = ingress.annotations
    if annotations.value("proxy-buffering").lower() == "on":
        old = annotations.value("proxy-http-version") == "1.0"
        edit = ingress.all_stream
        yield _at_value(
            catalogue.BUFFERING_ON, annotations, "proxy-buffering", source,
            to="off" if edit else None, severity=Severity.ERROR if old else None,
        )  # fmt: skip
    if annotations.value("proxy-http-version") == "1.0":
        yield _at_value(catalogue.OLD_HTTP, annotations, "proxy-http-version", source, to="1.1")
    yield from _snippet(annotations, source)
    yield from _unquoted(annotations, source)
    for key in _TIMEOUTS:
        united = _UNITED.fullmatch(annotations.value(key))
        if united:
            seconds = max(1, round(int(united[1]) * _UNIT_S[united[2]]))
            yield _at_value(
                catalogue.UNIT, annotations, key, source,
                to=str(seconds), key=key, value=united[0],
            )  # fmt: skip
    yield from _read_timeout(catalogue.READ_TIMEOUT, annotations, source, chosen)


def find_in_config_map(data: Values, source: Source, chosen: Settings) -> Iterator[Diagnostic]:
    """All that it does to the streams of the cluster."""
    if data.value("proxy-buffering").lower() == "on":
        kind = _gzipped_kind(data)
        rule = catalogue.GZIP if kind else catalogue.BUFFERING_EVERYWHERE
        yield _at_value(rule, data, "proxy-buffering", source, to="off", kind=kind)
    yield from _unquoted(data, source)
    yield from _read_timeout(catalogue.READ_TIMEOUT_EVERYWHERE, data, source, chosen)
    shutdown = _UNITED.fullmatch(data.value("worker-shutdown-timeout"))
    if shutdown and int(shutdown[1]) * _UNIT_S[shutdown[2]] < _SHUTDOWN_S:
        yield _at_value(
            catalogue.SHUTDOWN, data, "worker-shutdown-timeout", source,
            to="3600s", limit=shutdown[0],
        )  # fmt: skip


def _at_value(
    rule: ConfigRule,
    values: Values,
    name: str,
    source: Source,
    *,
    to: str | None,
    severity: Severity | None = None,
    **evidence: object,
) -> Diagnostic:
    entry = values.entry(name)
    assert entry is not None
    edit = replace_value(source, entry.value, to) if to is not None else None
    # A value without quotes gets them first, from a rule of its own.
    edits = [edit] if edit is not None and entry.value.quoted else []
    return diagnostic_at(rule, source, _span(source, entry), *edits, severity=severity, **evidence)


def _span(source: Source, entry: Entry) -> tuple[int, int]:
    """The key and its value, as far as they stand on one line."""
    _, end = source.line_span(entry.key.start)
    line = source.text[entry.key.start : min(end, max(entry.value.end, entry.key.end))]
    return entry.key.start, entry.key.start + len(line.rstrip())


def _unquoted(values: Values, source: Source) -> Iterator[Diagnostic]:
    for entry in values.node.entries:
        key, node = entry.key.text, entry.value
        ours = key.startswith(PREFIX) if values.prefix else key in CONFIG_KEYS
        plain = node.kind == "scalar" and not node.quoted and node.form != "block"
        if ours and plain and not node.has_properties and _NO_TEXT.fullmatch(node.text):
            yield diagnostic_at(
                catalogue.UNQUOTED, source, _span(source, entry), *_quoted(entry),
                key=key.removeprefix(PREFIX), value=node.text or "(nothing)",
            )  # fmt: skip


def _quoted(entry: Entry) -> list[Edit]:
    node = entry.value
    if node.aliased or node.start == node.end:
        return []
    return [Edit(node.start, node.end, f'"{node.text}"')]


def _snippet(annotations: Values, source: Source) -> Iterator[Diagnostic]:
    entry = annotations.entry("configuration-snippet")
    if entry is None:
        return
    for line in snippet_lines(source, entry):
        span = (line.start, line.end)
        if line.name in _WRITTEN:
            is_default = (line.name, " ".join(line.args)) in _DEFAULTS
            edit = remove_line(source, entry, line) if is_default else None
            yield _in_snippet(catalogue.SNIPPET_TWICE, source, span, edit, directive=line.name)
        elif line.name == "chunked_transfer_encoding" and line.args == ("off",):
            edit = remove_line(source, entry, line)
            yield _in_snippet(catalogue.CHUNKS_OFF, source, span, edit)
        elif _sends_accel(line):
            edit = remove_line(source, entry, line)
            held = annotations.value("proxy-buffering").lower() == "on"
            severity = Severity.WARNING if held else None
            yield _in_snippet(catalogue.ACCEL_UPSTREAM, source, span, edit, severity=severity)


def _sends_accel(line: Line) -> bool:
    sends = line.name == "proxy_set_header" and bool(line.args)
    return sends and line.args[0].lower() == "x-accel-buffering"


def _in_snippet(
    rule: ConfigRule,
    source: Source,
    span: tuple[int, int],
    edit: Edit | None,
    *,
    severity: Severity | None = None,
    **evidence: object,
) -> Diagnostic:
    edits = [edit] if edit is not None else []
    return diagnostic_at(rule, source, span, *edits, severity=severity, **evidence)


def _read_timeout(
    rule: ConfigRule, values: Values, source: Source, chosen: Settings
) -> Iterator[Diagnostic]:
    text = values.value("proxy-read-timeout")
    if re.fullmatch(r"\d{1,9}", text) and 0 < int(text) <= 2 * chosen.heartbeat_s:
        heartbeat = f"{chosen.heartbeat_s:g}"
        yield _at_value(
            rule, values, "proxy-read-timeout", source,
            to="3600", limit=int(text), heartbeat=heartbeat,
        )  # fmt: skip


def _gzipped_kind(data: Values) -> str:
    """The type of gzip-types that event streams fall under; empty where none does."""
    if data.value("use-gzip").lower() != "true":
        return ""
    kinds = data.value("gzip-types").lower().replace(",", " ").split()
    return next((kind for kind in kinds if kind in {"*", "text/event-stream"}), "")
