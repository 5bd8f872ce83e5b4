"""Accessors for a Traefik configuration in a YAML or TOML tree. Keys are case-insensitive."""

from __future__ import annotations

import re

from undam.textfiles.edits import Edit
from undam.textfiles.tree import Entry, Node

_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,9})?(?:h|ms|m|us|µs|ns|s))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|us|µs|ns|s)")
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def at(node: Node | None, *path: str) -> Node | None:
    """Return the value at this key path, which must be in lower case."""
    for name in path:
        node = node.get(name, ignore_case=True) if node else None
    return node


def entry_at(node: Node | None, name: str) -> Entry | None:
    """Return the entry for this key, which must be in lower case."""
    return node.entry(name, ignore_case=True) if node else None


def seconds_of(node: Node | None) -> float | None:
    """Parse a Go duration or a number of seconds; ``None`` if it is invalid."""
    if node is None or node.kind != "scalar":
        return None
    text = node.text.strip()
    if re.fullmatch(r"\d{1,12}", text, re.ASCII):
        return float(text)
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION_PART.findall(text))


def local_name(name: str) -> str:
    """Return a name in lower case without ``@file``. Suffixes for other providers are kept."""
    return name.lower().removesuffix("@file")


def existing(edit: Edit | None) -> tuple[Edit, ...]:
    """Return a tuple that contains the edit, or an empty tuple if the edit is ``None``."""
    return (edit,) if edit else ()
