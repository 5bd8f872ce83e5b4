"""Search for embedded texts: YAML block scalars, here-documents, quoted texts, code fences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

# A file with more embedded texts than this is a data file and not worth searching.
_MAX_REGIONS = 200

_BLOCK = re.compile(
    r"^(?P<indent>[ ]*)(?P<dashes>(?:- +)*)(?:[\"']?(?P<key>[\w./ -]{1,100}?)[\"']?[ ]*:[ ]*)?"
    r"(?:[&!]\S+[ ]+)*\|[-+0-9]*[ ]*(?:#[^\n]*)?\r?$",
    re.MULTILINE,
)
_HEREDOC = re.compile(
    r"^(?P<line>[^\n#]*?)<<(?P<dash>-?)[ ]*(?P<quote>[\"']?)(?P<word>[A-Za-z_]\w*)(?P=quote)"
    r"(?P<rest>[^\n]*)$",
    re.MULTILINE,
)
_TARGET = re.compile(
    r"(?:>>?|\btee\b(?:[ ]+-a)?|^[ \t]*COPY\b)[ ]*[\"']?([^\s\"'|;&<>]+)|(\S*/\S+)[ ]*$"
)
# Terraform and Nomad assign a here-document to a key.
_ASSIGNED = re.compile(r"[\"']?([\w./-]+)[\"']?[ ]*=[ ]*$")
_QUOTED_WRITE = re.compile(
    r"\b(?:echo|printf)(?:[ ]+-\w+)*[ ]+'(?P<text>[^'\n]*\n[^']*)'[ ]*"
    r"(?:>>?|\|[ ]*(?:sudo[ ]+)?tee\b(?:[ ]+-a)?)[ ]*[\"']?(?P<target>[^\s\"';|&]+)"
)
_FENCE = re.compile(r"^[ ]{0,12}(?P<fence>`{3,}|~{3,})[ ]*(?P<info>[^\n`]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class EmbeddedText:
    """A text that is embedded in another text.

    Args:
        name: the name that it has: a key, the target of a redirection, or the language of a fence.
        start, end: offsets of the text.
    """

    name: str
    start: int
    end: int


def yaml_blocks(text: str) -> Iterator[EmbeddedText]:
    """Yield the literal block scalars (``key: |`` and ``- |``) in YAML, which may be a template."""
    at = 0
    for _ in range(_MAX_REGIONS):
        found = _BLOCK.search(text, at)
        if found is None:
            return
        start = min(found.end() + 1, len(text))
        key, dashes = found["key"], found["dashes"]
        column = len(found["indent"]) + (len(dashes) if key else len(dashes.rstrip()) - 1)
        at = end = _end_of_block(text, start, column)
        if end > start and (key or dashes):
            yield EmbeddedText((key or "").strip(), start, end)


def _end_of_block(text: str, start: int, indent: int) -> int:
    """Return the offset after the last line of a block with deeper indentation."""
    at = end = start
    while at < len(text):
        stop = text.find("\n", at)
        stop = len(text) if stop < 0 else stop + 1
        line = text[at:stop]
        if line.strip():
            if len(line) - len(line.lstrip(" ")) <= indent:
                break
            end = stop
        at = stop
    return end


def heredocs(text: str, *, is_indented: bool = False) -> Iterator[EmbeddedText]:
    """Yield the here-documents in a shell script, a Dockerfile or a Terraform file.

    Args:
        is_indented: the closing word may be indented by spaces, as in Terraform and Nomad, and in a
            script inside YAML.
    """
    at = 0
    for _ in range(_MAX_REGIONS):
        found = _HEREDOC.search(text, at)
        if found is None:
            return
        start = min(found.end() + 1, len(text))
        indent = r"[ \t]*" if is_indented else r"\t*" if found["dash"] else ""
        close = re.compile(rf"^{indent}{re.escape(found['word'])}\r?$", re.MULTILINE)
        end = close.search(text, start)
        if end is None:
            at = start
            continue
        at = end.end()
        target = _TARGET.search(found["rest"]) or _TARGET.search(found["line"])
        assigned = _ASSIGNED.search(found["line"])
        name = (target[1] or target[2]) if target else assigned[1] if assigned else ""
        yield EmbeddedText(name, start, end.start())


def quoted_writes(text: str) -> Iterator[EmbeddedText]:
    """Yield the texts of several lines in single quotes that a script writes to a file."""
    for found in islice(_QUOTED_WRITE.finditer(text), _MAX_REGIONS):
        yield EmbeddedText(found["target"], *found.span("text"))


def markdown_fences(text: str) -> Iterator[EmbeddedText]:
    """Yield the code fences in a Markdown text."""
    at = 0
    for _ in range(_MAX_REGIONS):
        found = _FENCE.search(text, at)
        if found is None:
            return
        start = min(found.end() + 1, len(text))
        close = re.compile(rf"^ {{0,12}}{re.escape(found['fence'])}[`~]*[ ]*\r?$", re.MULTILINE)
        end = close.search(text, start)
        if end is None:
            return
        at = min(end.end() + 1, len(text))
        language = found["info"].split()[:1]
        yield EmbeddedText("".join(language), start, end.start())
