"""Traffic Server's records, remap and compress files: a compressor that is not flushed, limits."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.trafficserver.catalogue import RULES
from undam.lint.dialects.trafficserver.compress import find_unflushed
from undam.lint.dialects.trafficserver.limits import (
    any_map_streams,
    find_default,
    find_limits,
    records,
    streaming_parameters,
    yaml_records,
)
from undam.lint.dialects.trafficserver.render import render
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
_REMAP = re.compile(r"^[ \t]*(?:regex_)?map[ \t]+\S+[ \t]+https?://\S", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """records.config or records.yaml, remap.config or compress.config, by name or content."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if name in {"records.config", "records.yaml", "remap.config", "compress.config"}:
        return True
    if not (name == "-" or "." not in name or name.endswith((".config", ".yaml", ".yml"))):
        return False
    return any(one.search(text) for one in (_RECORDS, _COMPRESS, _REMAP)) or _is_yaml(text)


def _is_yaml(text: str) -> bool:
    return bool(_YAML.search(text) and _YAML_NAMES.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake, by the kind of the file. Raises ConfigSyntaxError."""
    told, heartbeat_s = bool(settings.stream_paths), settings.heartbeat_s
    if _RECORDS.search(source.text):
        return _lint_records(source, settings, open_include)
    if _COMPRESS.search(source.text):
        return LintResult(unique_diagnostics(find_unflushed(source, told=told)))
    if _REMAP.search(source.text):
        own = list(streaming_parameters(source, settings.hints))
        return LintResult(unique_diagnostics(find_limits(source, own, heartbeat_s, sure=True)))
    if _is_yaml(source.text):
        documents = read_yaml(source)
        found = yaml_records(documents.roots)
        sure = _something_streams(settings, open_include)
        if sure is False:
            return LintResult((), documents.unread)
        diagnostics = find_limits(source, found, heartbeat_s, sure=bool(sure))
        return LintResult(unique_diagnostics(diagnostics), documents.unread)
    return LintResult()


def _lint_records(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    sure = _something_streams(settings, open_include)
    if sure is False:
        return LintResult()
    found = records(source)
    diagnostics: list[Diagnostic] = []
    diagnostics += find_limits(source, found, settings.heartbeat_s, sure=bool(sure))
    if sure:
        diagnostics += find_default(source, found, settings.heartbeat_s)
    return LintResult(unique_diagnostics(diagnostics))


def _something_streams(settings: Settings, open_include: IncludeOpener) -> bool | None:
    """Whether a map streams; ``None`` where no remap.config says so or denies it."""
    if settings.stream_paths:
        return True
    maps = open_include("remap.config")
    return any(any_map_streams(one, settings.hints) for one in maps) if maps else None


DIALECT = Dialect(
    name="trafficserver",
    title="Apache Traffic Server",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
