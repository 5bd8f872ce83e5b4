"""Configuration files on disk: search in folders, decoding, and a cache of file texts."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from fnmatch import fnmatch
from pathlib import Path

from undam.errors import UsageError
from undam.textfiles.source import Source
from undam.textfiles.templates import is_template_name, template_source

STDIN = "-"

# The largest hand-written configurations have about 100 KB. Larger files are usually data.
MAX_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"
# Git examines the same number of bytes to decide whether a file is binary.
_BINARY_CHECK_BYTES = 8000

_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})
# Hidden folders in which platforms and tools keep proxy configurations.
_READ_HIDDEN_FOLDERS = frozenset({
    ".platform", ".ebextensions", ".docker", ".devcontainer", ".nginx", ".deploy", ".kube", ".k8s",
    ".helm", ".config",
})  # fmt: skip
# Suffixes of programs and texts that may contain a configuration, for instance in a here-document.
# These files are not configurations themselves.
_PROGRAM_SUFFIXES = frozenset({".py", ".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"})
_CONTAINER_SUFFIXES = frozenset({".sh", ".bash"})
_MARKDOWN_SUFFIXES = frozenset({".md", ".mdx", ".markdown"})
# Suffixes of documentation, programs, images and archives. These files are not treated as
# configurations, even if they contain one.
_SKIPPED_SUFFIXES = frozenset({
    ".rst", ".txt", ".adoc", ".html", ".htm", ".css", ".scss", ".svg", ".xml", ".csv", ".log",
    ".lock", ".diff", ".patch", ".ipynb", ".pyi", ".pyc", ".vue", ".go", ".rs", ".c", ".h", ".cc",
    ".cpp", ".hpp", ".java", ".kt", ".rb", ".php", ".pl", ".pm", ".mk", ".lua", ".zsh", ".ps1",
    ".sql", ".swift", ".scala", ".cs", ".ex", ".exs", ".so", ".o", ".a", ".whl", ".zip", ".gz",
    ".xz", ".tar", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".woff", ".woff2",
    ".ttf", ".mp4",
})  # fmt: skip
# Names of files, such as Dockerfile, that may lack a suffix and are not configurations.
_CONTAINER_NAMES = re.compile(
    r"(?:.*\.)?(?:docker|container)file(?:\..*)?|procfile(?:\..*)?", re.IGNORECASE
)
_SKIPPED_NAMES = re.compile(
    r"(?:.*\.)?(?:make|jenkins|vagrant|gem|pip)file(?:\..*)?"
    r"|(?:license|licence|copying|copyright|readme|changelog|authors|notice|install)(?:[._-].*)?",
    re.IGNORECASE,
)


class FileUse(Enum):
    """Use of a file, as indicated by its name."""

    CONFIGURATION = auto()
    CONTAINER = auto()
    """A script or Dockerfile, which may contain a configuration."""
    MARKDOWN = auto()
    """A document with code fences."""
    PROGRAM = auto()
    """An application."""
    OTHER = auto()
    """Data, images and other files that are not read."""


def use_of(path: str) -> FileUse:
    """Return the use that the name of a file indicates."""
    name = Path(path).name
    suffix = Path(path).suffix.lower()
    if suffix in _CONTAINER_SUFFIXES or _CONTAINER_NAMES.fullmatch(name):
        return FileUse.CONTAINER
    if suffix in _MARKDOWN_SUFFIXES:
        return FileUse.MARKDOWN
    if suffix in _PROGRAM_SUFFIXES:
        return FileUse.PROGRAM
    is_other = suffix in _SKIPPED_SUFFIXES or _SKIPPED_NAMES.fullmatch(name)
    return FileUse.OTHER if is_other else FileUse.CONFIGURATION


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be or contain a configuration.

    Args:
        path: the path that the user gave, or a path below a folder that the user gave.
        named: the user gave the path of the file itself, not that of a folder above it.
        use: the use of the file, by its name.
    """

    path: str
    named: bool
    use: FileUse = FileUse.CONFIGURATION


@dataclass(frozen=True, slots=True)
class Problem:
    """Reason why a file was not linted or fixed. Line and column are given if known."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        position = "" if self.line is None else f":{self.line}:{self.column}"
        return f"{self.path}{position}: {self.message}"


@dataclass(frozen=True, slots=True)
class FileText:
    """Text of a file, with the encoding details needed to write it back.

    Args:
        raw: the bytes of the file, at most one more than ``MAX_BYTES``.
        text: the decoded text without byte order mark, with its own line endings; empty if the
            file is binary.
        is_text: the file is not binary.
    """

    raw: bytes
    text: str
    encoding: str
    is_text: bool = True

    @property
    def is_too_large(self) -> bool:
        """True if the file is larger than ``MAX_BYTES``."""
        return len(self.raw) > MAX_BYTES

    def encode(self, text: str) -> bytes:
        """Encode a text in this file's encoding, with a byte order mark if this file has one."""
        mark = _BOM if self.raw.startswith(_BOM) else b""
        return mark + text.encode(self.encoding)


def decode(raw: bytes) -> FileText:
    """Decode bytes as UTF-8, or else as Latin-1, which preserves every byte."""
    if b"\0" in raw[:_BINARY_CHECK_BYTES]:
        return FileText(raw, "", "utf-8", is_text=False)
    body = raw.removeprefix(_BOM)
    try:
        return FileText(raw, body.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        return FileText(raw, body.decode("latin-1"), "latin-1")


@dataclass
class ConfigFiles:
    """The files of a lint run. A file with several paths is read once and has one name."""

    _names: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, FileText] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)
    _templates: set[str] = field(default_factory=set)

    def copy(self) -> ConfigFiles:
        """Return a copy whose texts can be changed without affecting this object."""
        return ConfigFiles(
            dict(self._names), dict(self._texts), dict(self._sources), set(self._templates)
        )

    def register(self, path: str) -> None:
        """Register a path as the name of the file to which it resolves."""
        self._names.setdefault(os.path.realpath(path), path)

    def name(self, path: str) -> str:
        """Return a file's registered path, or else its path relative to the working directory."""
        real = os.path.realpath(path)
        if real not in self._names:
            relative = os.path.relpath(real)
            self._names[real] = real if relative.startswith("..") else relative
        return self._names[real]

    def read(self, path: str) -> FileText:
        """Return the file's content on disk. Raises OSError."""
        if path not in self._texts:
            self._texts[path] = decode(_bytes(path))
        return self._texts[path]

    def discard(self, path: str) -> None:
        """Free the text of a file that turned out not to be a configuration."""
        self._texts.pop(path, None)
        self._sources.pop(path, None)

    def source(self, path: str) -> Source:
        """Return a file's text, including the changes made so far. Raises OSError."""
        if path not in self._sources:  # the Source object also caches its line index
            self._sources[path] = self._view(path, self.read(path).text)
        return self._sources[path]

    def treat_as_template(self, path: str) -> Source:
        """Treat a file as a template from now on, whatever its name is. Return its text."""
        self._templates.add(path)
        self._sources.pop(path, None)
        return self.source(path)

    def _view(self, path: str, text: str) -> Source:
        is_template = path in self._templates or is_template_name(path)
        return template_source(path, text) if is_template else Source(path, text)

    def change(self, path: str, text: str) -> None:
        """Replace a file's text in memory only."""
        self._sources[path] = self._view(path, text)

    @property
    def changed(self) -> dict[str, str]:
        """New text, by name, for each file that differs from its version on disk."""
        texts = {path: one.written for path, one in self._sources.items()}
        return {path: text for path, text in texts.items() if text != self.read(path).text}


def _bytes(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def find_candidates(
    paths: Sequence[str], exclude: Sequence[str] = (), *, markdown: bool = False
) -> tuple[list[Candidate], list[Problem], list[Problem]]:
    """Return the files at or below the paths, without duplicates, in the order of the paths.

    The files below a folder are sorted by name. Most hidden folders, ``node_modules`` and similar
    folders, links to folders, special files, and files whose name shows that they are data are
    skipped.

    Args:
        exclude: patterns of paths to leave out.
        markdown: also return Markdown documents.

    Returns:
        The candidates, the problems of the paths themselves, and folders that could not be read.

    Raises:
        UsageError: standard input is given twice.
    """
    found: list[Candidate] = []
    problems: list[Problem] = []
    unreadable: list[Problem] = []
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path == STDIN:
            found.append(Candidate(STDIN, named=True))
            continue
        try:
            is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
            walked = _walk(path, exclude, unreadable, markdown=markdown)
            names = walked if is_folder else iter([os.path.normpath(path)])
            for name in names:
                at = Path(name).stat()
                if (at.st_dev, at.st_ino) not in seen and not is_excluded(name, exclude):
                    seen.add((at.st_dev, at.st_ino))
                    found.append(Candidate(name, named=not is_folder, use=use_of(name)))
        except (OSError, ValueError) as error:
            problems.append(Problem(path, reason(error)))
    if sum(one.path == STDIN for one in found) > 1:
        raise UsageError("standard input can be read only once; give '-' once")
    return found, problems, unreadable


def _walk(
    folder: str, exclude: Sequence[str], unreadable: list[Problem], *, markdown: bool
) -> Iterator[str]:
    def note(error: OSError) -> None:
        unreadable.append(Problem(str(error.filename), reason(error)))

    skipped = {FileUse.OTHER} if markdown else {FileUse.OTHER, FileUse.MARKDOWN}
    for here, folders, files in os.walk(folder, onerror=note):
        folders[:] = sorted(
            name
            for name in folders
            if (not name.startswith(".") or name in _READ_HIDDEN_FOLDERS)
            and name not in _SKIPPED_FOLDERS
            and not is_excluded(str(Path(here, name)), exclude)
        )
        for name in sorted(files):
            path = os.path.join(here, name)  # noqa: PTH118 (a tree has many files)
            if use_of(name) not in skipped and os.path.isfile(path):  # noqa: PTH113
                yield os.path.normpath(path)


def is_excluded(path: str, patterns: Iterable[str]) -> bool:
    """Return whether a pattern matches the path or name of a file or of any parent folder."""
    return any(
        fnmatch(name, pattern.rstrip("/"))
        for pattern in patterns
        for one in (Path(path), *Path(path).parents)
        for name in (str(one), one.name)
    )


def reason(error: OSError | ValueError) -> str:
    """Return a short description of an error."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
