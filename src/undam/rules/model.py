"""Data model for rules and findings."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

_WIDTH = 92
_CODE_INDENT = "    "

# Section headings, in display order.
_HEADINGS = {
    "what": "What",
    "why": "Why it hurts",
    "detection": "Detection",
    "causes": "Causes",
    "measured": "Measured",
    "fix": "Fix",
    "source": "Source",
}


class Severity(StrEnum):
    """Severity of a finding. Only ``error`` and ``warning`` cause exit status 1."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Verdict(StrEnum):
    """Verdict on the arrival of a stream."""

    STREAMING = "streaming"
    BATCHED = "batched"
    LATE = "late"
    HELD_TO_END = "held-to-end"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Fix:
    """Configuration change that fixes a finding: where to make it, and the text to insert."""

    where: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Definition of one kind of finding.

    The fields from ``what`` to ``source`` are texts for people. They may be indented as a whole.
    Lines that are indented by four spaces more are code; all other lines are prose, which is
    wrapped when it is shown.

    Args:
        code: never reused; the hundreds digit is the category.
        slug: reads well after "allow".
        message: one line; ``{name}`` is filled from the evidence.
        what: the behaviour that the rule detects.
        why: the effect on readers and operators.
        detection: the evidence that the rule needs, and what it cannot distinguish.
        causes: programs and circumstances that cause the behaviour.
        measured: versions and results of our own measurements.
        fix: instructions, with the text to put into a configuration as code.
        source: standards, manuals and source code that document the behaviour.
    """

    code: str
    slug: str
    severity: Severity
    message: str
    what: str
    why: str
    detection: str
    fix: str
    causes: str | None = None
    measured: str | None = None
    source: str | None = None

    def __post_init__(self) -> None:
        for name in _HEADINGS:
            if (text := getattr(self, name)) is not None:
                object.__setattr__(self, name, inspect.cleandoc(text))

    @property
    def texts(self) -> dict[str, str | None]:
        """The rule's descriptive texts, by field name."""
        return {name: getattr(self, name) for name in _HEADINGS}

    @property
    def sections(self) -> list[tuple[str, str]]:
        """Heading and text of each section of the rule."""
        texts = self.texts.items()
        return [(_HEADINGS[name], text) for name, text in texts if text is not None]

    @property
    def explain(self) -> str:
        """All sections as plain text for a terminal."""
        return "".join(_plain_text(heading, text) for heading, text in self.sections)


def paragraphs(text: str) -> Iterator[str]:
    """Split a section's text into paragraphs of prose, one line each, and blocks of code."""
    for kind, lines in groupby(text.splitlines(), _kind_of_line):
        if kind == "code":
            yield "\n".join(lines)
        elif kind == "prose":
            yield " ".join(lines)


def _kind_of_line(line: str) -> str:
    if not line:
        return "blank"
    return "code" if line.startswith(_CODE_INDENT) else "prose"


def _plain_text(heading: str, text: str) -> str:
    lines: list[str] = []
    for number, paragraph in enumerate(paragraphs(text)):
        if paragraph.startswith(_CODE_INDENT):
            lines.append(paragraph)
            continue
        prose = paragraph if number else f"{heading}: {paragraph}"
        lines += textwrap.wrap(prose, _WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule violation at one hop, with its evidence."""

    code: str
    slug: str
    severity: Severity
    hop: str
    message: str
    evidence: Mapping[str, object]
    fix: Fix | None = None


def finding_json(found: Finding) -> dict[str, object]:
    """Return a finding in the JSON form that all commands share."""
    fix = found.fix
    return {
        "code": found.code,
        "slug": found.slug,
        "severity": found.severity.value,
        "hop": found.hop,
        "message": found.message,
        "evidence": dict(found.evidence),
        "fix": None if fix is None else {"where": fix.where, "text": fix.text},
    }
