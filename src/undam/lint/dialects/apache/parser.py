"""Parser for httpd.conf: directives in nested sections (see "Configuring" on httpd.apache.org)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from undam.lint.dialect import IncludeOpener, PartlyOpened, is_stock_include
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.tokens import Word

# These limits bound nesting and stop include loops. Real configurations stay far below them.
MAX_SECTIONS = 64
MAX_INCLUDES = 200
_MAX_INCLUDE_DEPTH = 16

# httpd evaluates these conditions at startup. The linter assumes that they are all true.
_TRANSPARENT = frozenset(
    {"ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection"}
)
_WORD = re.compile(
    r"""(?:[ \t\r\v\f]|\\\r?\n)*+
    (?: "(?P<double>(?:[^"\\]|\\.)*+)"?
      | '(?P<single>(?:[^'\\]|\\.)*+)'?
      | (?P<plain>(?:[^ \t\r\v\f\n\\]|\\(?!\r?\n))++) )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\([\"'\\])")
_VARIABLE = re.compile(r"\$\{([^}\n]{1,80})\}")


@dataclass(frozen=True, slots=True, eq=False)
class ApacheDirective:
    """A directive in httpd.conf.

    Args:
        name: in lower case.
        words: name and arguments.
        scope: the section that contains it.
    """

    source: Source
    name: str
    words: tuple[Word, ...]
    scope: ApacheScope

    @property
    def args(self) -> tuple[Word, ...]:
        return self.words[1:]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.args)

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def span(self) -> tuple[int, int]:
        """The span of the directive on its first line; continuation lines are excluded."""
        text = self.source.text[self.start : self.end]
        first = text.partition("\n")[0].rstrip("\r")
        return self.start, self.start + len(first.removesuffix("\\").rstrip())


@dataclass(slots=True, eq=False)
class ApacheScope:
    """A section of httpd.conf, or the top level of the file.

    Args:
        kind: name in lower case; empty for a file.
        args: arguments of the opening line.
    """

    kind: str = ""
    args: tuple[str, ...] = ()
    parent: ApacheScope | None = None
    directives: list[ApacheDirective] = field(default_factory=list)
    children: list[ApacheScope] = field(default_factory=list)
    _named: dict[str, list[ApacheDirective]] = field(default_factory=dict)

    def all_scopes(self) -> Iterator[ApacheScope]:
        """Yield this scope and all scopes below it, in text order."""
        todo = [self]
        while todo:
            scope = todo.pop()
            yield scope
            todo.extend(reversed(scope.children))

    def named(self, name: str) -> list[ApacheDirective]:
        """Return the directives with this name that are in this section and have arguments."""
        if len(self._named) == 0:
            for one in self.directives:
                if one.args:
                    self._named.setdefault(one.name, []).append(one)
        return self._named.get(name, [])

    def last(self, name: str) -> ApacheDirective | None:
        """Return the last directive with this name that has arguments."""
        return next(reversed(self.named(name)), None)

    @property
    def server(self) -> ApacheScope:
        """The innermost virtual host that contains this scope, or else the main server."""
        scope = self
        while scope.parent is not None and scope.kind != "virtualhost":
            scope = scope.parent
        return scope

    @property
    def root(self) -> ApacheScope:
        """The top-level scope of the configuration."""
        scope = self
        while scope.parent is not None:
            scope = scope.parent
        return scope


@dataclass(slots=True)
class ApacheConfig:
    """A file with its included files, in the order in which httpd reads them.

    Args:
        unopened: the includes that were not opened.
    """

    root: ApacheScope = field(default_factory=ApacheScope)
    defines: dict[str, str] = field(default_factory=dict)
    unread: list[UnreadPart] = field(default_factory=list)
    unopened: list[str] = field(default_factory=list)
    included: list[Source] = field(default_factory=list)

    def expanded(self, text: str) -> str:
        """Return a text in which variables set by `Define` are replaced with their values."""
        return _VARIABLE.sub(lambda found: self.defines.get(found[1], found[0]), text)


def read_config(source: Source, open_include: IncludeOpener) -> ApacheConfig:
    """Parse a file and all files that it includes.

    Raises:
        ConfigSyntaxError: a section is not closed, has no name or has no matching opening line.
    """
    config = ApacheConfig()
    _ApacheReader(source, open_include, config, 0).read(config.root)
    return config


def words_at(source: Source, start: int, end: int) -> tuple[Word, ...]:
    """Return the words between two offsets; the range may span continued lines."""
    found, at = [], start
    while match := _WORD.match(source.text, at, end):
        kind = match.lastgroup or "plain"
        at = match.end()
        text = match[kind]
        first = match.start(kind) - (kind != "plain")
        if kind != "plain":
            text = _ESCAPED.sub(r"\1", text)
        found.append(Word(text, first, at))
    return tuple(found)


class _ApacheReader:
    """Reader that parses one file into an ``ApacheConfig``."""

    def __init__(
        self, source: Source, open_include: IncludeOpener, config: ApacheConfig, depth: int
    ) -> None:
        self._source = source
        self._open_include = open_include
        self._config = config
        self._depth = depth

    def read(self, scope: ApacheScope) -> None:
        """Add the directives and sections in the file to a scope."""
        opened: list[tuple[str, int, ApacheScope]] = []
        for start, end in _lines(self._source.text):
            if self._source.text[start] == "<":
                scope = self._section(start, end, scope, opened)
                continue
            words = words_at(self._source, start, end)
            if not words:
                continue
            one = ApacheDirective(self._source, words[0].text.lower(), words, scope)
            scope.directives.append(one)
            self._follow(one, scope)
        if opened:
            name, start, _ = opened[-1]
            raise self._source.error(f"<{name}> is not closed", start)

    def _section(
        self, start: int, end: int, scope: ApacheScope, opened: list[tuple[str, int, ApacheScope]]
    ) -> ApacheScope:
        text = self._source.text[start:end].rstrip()
        if not text.endswith(">"):
            raise self._source.error("the closing > of this section is missing", start)
        words = words_at(self._source, start + 1, start + len(text) - 1)
        if not words:
            raise self._source.error("this section has no name", start)
        name = words[0].text.lower()
        if name.startswith("/"):
            if not opened or opened[-1][0] != name[1:]:
                raise self._source.error(f"<{words[0].text[:40]}> has no matching section", start)
            return opened.pop()[2]
        if len(opened) >= MAX_SECTIONS:
            raise self._source.error(
                f"sections are nested more than {MAX_SECTIONS} levels deep", start
            )
        opened.append((name, start, scope))
        if name in _TRANSPARENT:
            return scope
        if name == "macro":
            self._leave(start, f"the macro {' '.join(word.text for word in words[1:2])}")
        inner = ApacheScope(name, tuple(word.text for word in words[1:]), scope)
        scope.children.append(inner)
        return inner

    def _follow(self, one: ApacheDirective, scope: ApacheScope) -> None:
        """Apply a directive that affects how the configuration is read."""
        if one.name in {"include", "includeoptional"} and one.args:
            self._include(one, scope)
        elif one.name == "define" and len(one.args) > 1:
            # Variables in the value are not expanded, because the value could then grow without
            # bound.
            self._config.defines[one.texts[0]] = one.texts[1]
        elif one.name == "use" and one.args:
            self._leave(one.start, f"Use {one.texts[0]}")

    def _include(self, one: ApacheDirective, scope: ApacheScope) -> None:
        pattern = self._config.expanded(one.texts[0])
        config = self._config
        if self._depth >= _MAX_INCLUDE_DEPTH or len(config.included) >= MAX_INCLUDES:
            self._leave(one.start, f"{pattern}: too many includes")
            return
        files = self._open_include(pattern)
        is_optional = set(pattern) & set("*?[") or is_stock_include(pattern)
        if isinstance(files, PartlyOpened) or (not files and not is_optional):
            config.unopened.append(f"Include {pattern}")
        if not files and "${" in pattern:
            self._leave(one.start, f"{pattern}, which contains an unknown variable")
        for file in files:
            if len(config.included) >= MAX_INCLUDES:
                self._leave(one.start, f"{file.path}: too many includes")
                return
            config.included.append(file)
            _ApacheReader(file, self._open_include, config, self._depth + 1).read(scope)

    def _leave(self, offset: int, what: str) -> None:
        line = self._source.position(offset)[0]
        self._config.unread.append(UnreadPart(self._source.path, line, what))


def _lines(text: str) -> Iterator[tuple[int, int]]:
    r"""Yield the span of each non-empty line. A trailing backslash joins a line with the next."""
    at = 1 if text.startswith("\ufeff") else 0
    while at < len(text):
        start = at
        while True:
            end = text.find("\n", at)
            end = len(text) if end < 0 else end
            at = end + 1
            stop = end - 1 if end > start and text[end - 1] == "\r" else end
            if end >= len(text) or stop <= start or text[stop - 1] != "\\":
                break
        bare = start
        while bare < end and text[bare] in " \t\r\v\f":
            bare += 1
        if bare < end and text[bare] != "#":
            yield bare, end
