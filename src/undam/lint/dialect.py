"""What a dialect offers. A dialect is a folder; `registry.py` lists them by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from undam.lint.diagnostic import ConfigRule, Diagnostic
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.unread import Unread

OpenFile = Callable[[str], list[Source]]
"""``pattern`` of an include as it stands in the text, which may be a glob -> the files it names, in
the order of their names; those that are not there are left out. Which folder a relative one starts
from is the caller's to know."""


def no_files(_pattern: str) -> list[Source]:
    """An ``OpenFile`` for text that stands alone: includes name nothing."""
    return []


@dataclass(frozen=True, slots=True)
class Linted:
    """What lint found in one file and those it includes.

    Args:
        included: the files that were read through ``OpenFile``. A mistake stands in one of them,
            or in the file that was linted; comments and fixes there need the text.
    """

    mistakes: tuple[Diagnostic, ...] = ()
    unread: tuple[Unread, ...] = ()
    included: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """What `undam render` is asked for.

    Args:
        upstream: ``http://HOST:PORT`` of the origin.
        path: prefix of the streaming route.
        idle_s: for how long a stream may be silent.
        listen: ``HOST:PORT`` to listen on.
    """

    upstream: str
    path: str = "/"
    idle_s: float = 3600.0
    listen: str = "127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One kind of configuration.

    Args:
        name: as in ``--dialect``.
        recognises: ``(path, text) -> bool``, by name and content.
        lint: raises ConfigSyntaxError where the text cannot be read.
        render: a complete configuration that starts as it is.
        comment: how a comment begins, for ``# undam: allow``.
    """

    name: str
    title: str
    rules: tuple[ConfigRule, ...]
    recognises: Callable[[str, str], bool]
    lint: Callable[[Source, Settings, OpenFile], Linted]
    render: Callable[[RenderRequest], str]
    comment: str = "#"
    check_command: str = field(default="")
