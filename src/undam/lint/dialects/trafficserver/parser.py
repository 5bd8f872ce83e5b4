"""Parsers for records.config, records.yaml, remap.config and compress.config."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from undam.textfiles.source import Source
from undam.textfiles.tokens import Word
from undam.textfiles.tree import Node

RECORD_PREFIX = "proxy.config.http."

_RECORD = re.compile(
    r"^[ \t]*(?:CONFIG|LOCAL)[ \t]+(proxy\.config\.[\w.]+)[ \t]+INT[ \t]+(\S+)", re.MULTILINE
)
_MAP = re.compile(
    r"^[ \t]*(?:reverse_)?(?:map|regex_map|map_with_recv_port)[ \t]+(\S+)[ \t]+(\S+)([^\r\n]*)",
    re.MULTILINE,
)
_PARAMETER = re.compile(r"@pparam=(proxy\.config\.http\.\w+)=([^\s@]+)")
_COMPRESS_LINE = re.compile(r"^[ \t]*([\w-]+)[ \t]+([^#\s][^#\r\n]*)", re.MULTILINE)
_COMPRESS_SITE = re.compile(r"^[ \t]*\[[^\]\r\n]*\]", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class TimeoutRecord:
    """A configuration record for a timeout, with its value.

    Args:
        name: without ``proxy.config.http.``.
        span: the span of the name.
        value_place: the span of the value, or its node in records.yaml.
    """

    name: str
    value: str
    span: tuple[int, int]
    value_place: tuple[int, int] | Node


def read_records(source: Source) -> list[TimeoutRecord]:
    """Return the records in a records.config. The last record with a given name is effective."""
    records = {
        one[1]: TimeoutRecord(one[1].removeprefix(RECORD_PREFIX), one[2], one.span(1), one.span(2))
        for one in _RECORD.finditer(source.text)
    }
    return list(records.values())


def read_yaml_records(roots: tuple[Node, ...]) -> list[TimeoutRecord]:
    """Return the records in a records.yaml. Later documents override earlier ones."""
    records: dict[str, TimeoutRecord] = {}
    for root in roots:
        http = (root.get("records", "ts") or root).get("http")
        for entry in http.entries if http else ():
            name = entry.key.text
            span = entry.key.start, entry.key.end
            records[name] = TimeoutRecord(name, entry.value.text, span, entry.value)
    return list(records.values())


@dataclass(frozen=True, slots=True)
class RemapRule:
    """A mapping rule in a remap.config.

    Args:
        start: offset of the line.
        parameters: the records that it overrides with conf_remap.
    """

    start: int
    path: str
    target: str
    parameters: tuple[TimeoutRecord, ...]


def read_remap(source: Source) -> Iterator[RemapRule]:
    """Yield the mapping rules in a remap.config."""
    for line in _MAP.finditer(source.text):
        path = re.sub(r"^[a-z]*://[^/]*", "", line[1]) or "/"
        parameters = tuple(
            TimeoutRecord(one[1].removeprefix(RECORD_PREFIX), one[2], one.span(1), one.span(2))
            for one in _PARAMETER.finditer(source.text, *line.span(3))
        )
        yield RemapRule(line.start(1), path, line[2], parameters)


@dataclass(slots=True)
class CompressSection:
    """The settings for one site in a compress.config. The first section applies to all sites.

    Args:
        flush: the value of `flush`, in lower case.
    """

    types: list[Word] = field(default_factory=list)
    flush: Word | None = None
    enabled: bool = True


def read_compress(source: Source) -> Iterator[CompressSection]:
    """Yield the sections in a compress.config."""
    starts = (found.start() for found in _COMPRESS_SITE.finditer(source.text))
    for first, last in pairwise([0, *starts, len(source.text)]):
        section = CompressSection()
        for line in _COMPRESS_LINE.finditer(source.text, first, last):
            _apply(section, line)
        yield section


def _apply(section: CompressSection, line: re.Match[str]) -> None:
    name, value, start = line[1], line[2].rstrip(), line.start(2)
    end = start + len(value)
    if name == "compressible-content-type":
        section.types.append(Word(value, start, end))
    elif name == "flush":
        section.flush = Word(value.lower(), start, end)
    elif name == "enabled":
        section.enabled = value.lower() != "false"
