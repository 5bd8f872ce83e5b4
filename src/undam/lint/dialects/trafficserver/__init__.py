"""The Traffic Server dialect: timeouts and unflushed compression."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.trafficserver.hop import describe
from undam.lint.dialects.trafficserver.parser import read_records, read_yaml_records
from undam.lint.dialects.trafficserver.render import render
from undam.lint.dialects.trafficserver.routes import assess_maps, has_streaming_map
from undam.lint.dialects.trafficserver.rules import RULES, compression, limits
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.yaml_reader import read_yaml

_RECORDS = re.compile(r"^[ \t]*(?:CONFIG|LOCAL)[ \t]+proxy\.", re.MULTILINE)
_YAML = re.compile(r"^(?:records|ts):[ \t]*(?:#[^\n]*)?\r?$", re.MULTILINE)
_YAML_NAMES = re.compile(
    r"^[ \t]+(?:transaction_\w+_timeout_\w+|server_ports|exec_thread|keep_alive_\w+)[ \t]*:",
    re.MULTILINE,
)
_COMPRESS = re.compile(
    r"^[ \t]*(?:compressible-content-type|supported-algorithms|remove-accept-encoding)[ \t]",
    re.MULTILINE,
)
_COMPRESS_WORDS = ("compressible-content-type", "supported-algorithms", "remove-accept-encoding")
_REMAP = re.compile(r"^[ \t]*(?:regex_)?map[ \t]+\S+[ \t]+https?://\S", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a records, remap or compress file, based on its name or content."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if name in {"records.config", "records.yaml", "remap.config", "compress.config"}:
        return True
    if not (name == "-" or "." not in name or name.endswith((".config", ".yaml", ".yml"))):
        return False
    if name.endswith((".yaml", ".yml")):
        return _is_yaml(text)
    if "proxy." in text and _RECORDS.search(text):
        return True
    if has_any(text, *_COMPRESS_WORDS) and _COMPRESS.search(text):
        return True
    return ("map" in text and bool(_REMAP.search(text))) or _is_yaml(text)


def _is_yaml(text: str) -> bool:
    if not (has_any(text, "\nrecords:", "\nts:") or text.startswith(("records:", "ts:"))):
        return False
    return bool(_YAML.search(text) and _YAML_NAMES.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routes. The type of the file is determined from its content.

    Raises:
        ConfigSyntaxError: the text of records.yaml is not YAML.
    """
    if _RECORDS.search(source.text):
        return _lint_records(source, settings, open_include)
    if _COMPRESS.search(source.text):
        has_hints = bool(settings.stream_paths)
        return LintResult(unique_diagnostics(compression.find(source, has_hints=has_hints)))
    if _REMAP.search(source.text):
        return _lint_remap(source, settings)
    if _is_yaml(source.text):
        return _lint_yaml_records(source, settings, open_include)
    return LintResult()


def _lint_remap(source: Source, settings: Settings) -> LintResult:
    found: list[Diagnostic] = []
    routes = []
    for rule, assessed in assess_maps(source, settings.hints_for(source.path)):
        own: list[Diagnostic] = []
        if assessed.assessment.is_considered:
            limited = limits.find(source, rule.parameters, settings.silence, streams=True)
            own = for_route(assessed, limited)
        found += own
        routes.append(describe(assessed, own, settings.target("trafficserver")))
    return LintResult(unique_diagnostics(found), routes=tuple(routes))


def _lint_records(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    streams = has_streaming_map(settings, open_include)
    records = read_records(source)
    found = list(limits.find(source, records, settings.silence, streams=streams))
    if streams:
        found += limits.find_default(source, records, settings.silence)
    return LintResult(unique_diagnostics(found))


def _lint_yaml_records(
    source: Source, settings: Settings, open_include: IncludeOpener
) -> LintResult:
    documents = read_yaml(source)
    streams = has_streaming_map(settings, open_include)
    records = read_yaml_records(documents.roots)
    found = limits.find(source, records, settings.silence, streams=streams)
    return LintResult(unique_diagnostics(found), documents.unread)


DIALECT = Dialect(
    name="trafficserver",
    title="Apache Traffic Server",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
