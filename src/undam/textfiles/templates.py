"""Templates (Jinja2, ERB, Go, Helm, Terraform, Mustache, envsubst), read without being rendered.

A placeholder becomes an opaque word of the same length, and a tag becomes spaces, so offsets and
lines are those of the file. A placeholder that is alone on its line may stand for whole lines. It
becomes spaces too, and is recorded as a hole: what it stands for was not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from undam.textfiles.source import Source

OPAQUE = "ξ"
"""The character that placeholders consist of: a letter that configurations do not contain."""

_OPAQUE_RUN = re.compile(f"{OPAQUE}+")
# Maximum length of a construct; the limit keeps the search time linear.
_MAX_CHARS = 2000
_CONSTRUCT_TEXT = (
    rf"\{{#.{{0,{_MAX_CHARS}}}?#\}}|\{{%.{{0,{_MAX_CHARS}}}?%\}}"
    rf"|\{{\{{\{{[^{{}}\n]{{0,200}}\}}\}}\}}|\{{\{{.{{0,{_MAX_CHARS}}}?\}}\}}"
    rf"|<%.{{0,{_MAX_CHARS}}}?%>|\$\{{[A-Z][A-Z0-9_]*(?::?[-+?=][^}}\n]{{0,200}})?\}}"
)
_CONSTRUCT = re.compile(_CONSTRUCT_TEXT, re.DOTALL)
# In a template, `${name}` that is alone on its line cannot be a variable of the program. In a
# template of Terraform, `${…}` is always a placeholder, and `%{…}` is a tag.
_IN_TEMPLATE = re.compile(
    rf"{_CONSTRUCT_TEXT}|(?<![^\n])[ \t]*\$\{{\w{{1,200}}\}}(?=[ \t]*(?:\r?\n|$))", re.DOTALL
)
_IN_TERRAFORM = re.compile(
    rf"{_CONSTRUCT_TEXT}|\$\{{[^}}\n]{{1,200}}\}}|%\{{[^}}\n]{{1,200}}\}}", re.DOTALL
)
_TERRAFORM_NAME = re.compile(r"\.tftpl$", re.IGNORECASE)
# Keywords for statements of Go templates, sections of Mustache and Handlebars, and headers that
# become comments; anything else in braces is a value.
_STATEMENT = re.compile(
    r"\{\{-?\s*(?:if|else|end|range|with|define|block|break|continue|/\*|\$\w*\s*:?=)(?![\w.])|"
    r"\{\{-?\s*(?:/\*|\$\w*\s*:?=)|\{\{[#/^!]|\{\{-?\s*(?:ansible_managed\b|[^{}]*\|\s*comment\b)|%\{"
)
# EJS and EPP print the value of `<%- name %>`; in ERB, such a tag has a keyword and no value.
_PRINTED = re.compile(r"<%(?:-?=|-\s*(?!end\b|else\b|when\b|begin\b)[$@\w.\[\]'\"]+\s*-?%>)")
_TEMPLATE_ENDINGS = (
    "j2|jinja2?|template|tmpl|tpl|gotmpl|gtpl|erb|epp|ctmpl|tftpl|mustache|hbs|handlebars|ejs|mako"
    "|njk|envsubst"
)
_NAMES = re.compile(rf"\.(?:{_TEMPLATE_ENDINGS})$", re.IGNORECASE)
_ENDINGS = re.compile(rf"(?:\.(?:{_TEMPLATE_ENDINGS}|example|sample|dist|inc|in))+$", re.IGNORECASE)


def has_placeholders(text: str) -> bool:
    """Return whether a text contains template constructs."""
    # Searching for these characters is much faster than matching the regular expression.
    if "{" not in text and "<%" not in text:
        return False
    return _CONSTRUCT.search(text) is not None


def is_template_name(path: str) -> bool:
    """Return whether a file name is typical of a template."""
    return _NAMES.search(path) is not None


def rendered_name(path: str) -> str:
    """Return the file name without template suffixes, as it is after rendering."""
    return _ENDINGS.sub("", path) or path


def template_source(path: str, text: str) -> Source:
    """Return a template as a view in which placeholders are opaque and tags are blank."""
    parts: list[str] = []
    holes: list[tuple[int, int]] = []
    at = 0
    for start, end, is_hole in _constructs(path, text):
        parts.append(text[at:start])
        if is_hole is None:
            parts.append(_blank(text[start:end]))
        elif is_hole:
            parts.append(_blank(text[start:end]))
            holes.append((start, end))
        else:
            parts.append(re.sub(r"[^\n]", OPAQUE, text[start:end]))
        at = end
    view = "".join((*parts, text[at:]))
    return Source(path, view, text, tuple(holes), lambda new: template_source(path, new))


def with_placeholders(text: str, source: Source) -> str:
    """Return a text from a view with the placeholders as they are written in the file.

    A placeholder becomes an ellipsis if several have its length, because it cannot be identified.
    """
    if OPAQUE not in text:
        return text
    known = _placeholders_by_length(source.text, source.written)
    return _OPAQUE_RUN.sub(lambda run: known.get(len(run[0]), "…"), text)


# Cached, because a report may mention the placeholders of one file thousands of times.
@lru_cache(maxsize=8)
def _placeholders_by_length(view: str, written: str) -> dict[int, str]:
    known: dict[int, str] = {}
    for found in _OPAQUE_RUN.finditer(view):
        start, end = found.span()
        one = known.setdefault(end - start, written[start:end])
        if one != written[start:end]:
            known[end - start] = "…"
    return known


def region_source(outer: Source, start: int, end: int) -> Source:
    """Return a view in which everything outside one region is blank.

    Args:
        outer: the file, or the view of a template.
        start, end: offsets of the part. The start must not change when the part is edited.
    """
    text = _blank(outer.text[:start]) + outer.text[start:end] + _blank(outer.text[end:])
    rest = len(outer.text) - end
    return replace(
        outer,
        text=text,
        original=outer.written,
        holes=tuple(one for one in outer.holes if start <= one[0] < end),
        reread=lambda new: region_source(outer.with_written(new), start, len(new) - rest),
    )


def _constructs(path: str, text: str) -> Iterator[tuple[int, int, bool | None]]:
    """Yield the start, end and kind of each template construct.

    The kind is ``None`` for a tag, and true for a placeholder that is alone on its line. For any
    other placeholder, it is false.
    """
    constructs = _IN_TERRAFORM if _TERRAFORM_NAME.search(path) else _IN_TEMPLATE
    for found in constructs.finditer(text):
        written = found[0]
        is_code = written.startswith("<%") and not _PRINTED.match(written)
        if is_code or written.startswith(("{#", "{%")) or _STATEMENT.match(written):
            yield found.start(), found.end(), None
        else:
            yield found.start(), found.end(), _is_alone(text, found.start(), found.end())


def _is_alone(text: str, start: int, end: int) -> bool:
    first = text.rfind("\n", 0, start) + 1
    last = text.find("\n", end)
    line = text[first:start] + text[end : last if last >= 0 else len(text)]
    return not _CONSTRUCT.sub("", line).partition("#")[0].strip()


def _blank(text: str) -> str:
    """Replace all characters except line breaks with spaces."""
    return re.sub(r"[^\r\n]", " ", text)
