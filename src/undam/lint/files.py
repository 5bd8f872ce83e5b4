"""Configuration files on disk: which of them a path names, and their text as it was found there."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from undam.errors import UsageError
from undam.lint import Source

STDIN = "-"

# The largest configurations that people write by hand have some 100 KB; above this it is data.
MAX_BYTES = 1_000_000
_BOM = b"\xef\xbb\xbf"
# As much as git looks at to tell binary from text.
_TELLING_BYTES = 8000

_SKIPPED_FOLDERS = frozenset({"node_modules", "__pycache__", "site-packages"})
# What is never a proxy's own file, though it may quote one: prose, programs, pictures, archives.
_SKIPPED_SUFFIXES = frozenset({
    ".md", ".rst", ".txt", ".adoc", ".html", ".htm", ".css", ".scss", ".svg", ".xml", ".csv",
    ".log", ".lock", ".diff", ".patch", ".ipynb", ".py", ".pyi", ".pyc", ".js", ".mjs", ".cjs",
    ".jsx", ".ts", ".tsx", ".vue", ".go", ".rs", ".c", ".h", ".cc", ".cpp", ".hpp", ".java",
    ".kt", ".rb", ".php", ".pl", ".pm", ".mk", ".lua", ".sh", ".bash", ".zsh", ".ps1", ".sql",
    ".swift", ".scala", ".cs", ".ex", ".exs", ".so", ".o", ".a", ".whl", ".zip", ".gz", ".xz",
    ".tar", ".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".pdf", ".woff", ".woff2", ".ttf",
    ".mp4",
})  # fmt: skip
# Those of them that have no suffix, wherever they stand: a folder `nginx` often has a Dockerfile.
_SKIPPED_NAMES = re.compile(
    r"(?:.*\.)?(?:docker|container|make|jenkins|vagrant|proc|gem|pip)file(?:\..*)?"
    r"|(?:license|licence|copying|copyright|readme|changelog|authors|notice|install)(?:[._-].*)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file that may be a configuration.

    Args:
        path: as the user knows it.
        named: by the user; the others were found in a folder.
    """

    path: str
    named: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Why something could not be done; line and column from 1, where there is a place."""

    path: str
    message: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = "" if self.line is None else f":{self.line}:{self.column}"
        return f"{self.path}{place}: {self.message}"


@dataclass(frozen=True, slots=True)
class FileText:
    """The text of a file, with what is needed to write it as it was.

    Args:
        raw: its bytes, at most one more than ``MAX_BYTES``.
        text: without the byte order mark; line ends as they are. Empty where it is no text.
    """

    raw: bytes
    text: str
    encoding: str
    is_text: bool = True

    @property
    def is_too_large(self) -> bool:
        return len(self.raw) > MAX_BYTES

    def encode(self, text: str) -> bytes:
        """The bytes of another text in this file."""
        mark = _BOM if self.raw.startswith(_BOM) else b""
        return mark + text.encode(self.encoding)


def decode(raw: bytes) -> FileText:
    """Bytes as UTF-8, or else as Latin-1, in which every byte is a character and stays one."""
    if b"\0" in raw[:_TELLING_BYTES]:
        return FileText(raw, "", "utf-8", is_text=False)
    body = raw.removeprefix(_BOM)
    try:
        return FileText(raw, body.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        return FileText(raw, body.decode("latin-1"), "latin-1")


@dataclass
class ConfigFiles:
    """The files of one run: each is read once and has one name, however it was reached."""

    _names: dict[str, str] = field(default_factory=dict)
    _texts: dict[str, FileText] = field(default_factory=dict)
    _sources: dict[str, Source] = field(default_factory=dict)

    def call(self, path: str) -> None:
        """Let a file go by this name."""
        self._names.setdefault(os.path.realpath(path), path)

    def name(self, path: str) -> str:
        """What a file is called: as the user did, or else from the working directory."""
        real = os.path.realpath(path)
        if real not in self._names:
            inside = os.path.relpath(real)
            self._names[real] = real if inside.startswith("..") else inside
        return self._names[real]

    def read(self, path: str) -> FileText:
        """The file as it is on disk. Raises OSError."""
        if path not in self._texts:
            self._texts[path] = decode(_bytes(path))
        return self._texts[path]

    def forget(self, path: str) -> None:
        """Let go the text of a file that is no configuration."""
        self._texts.pop(path, None)

    def source(self, path: str) -> Source:
        """The text of a file with the changes made so far. Raises OSError."""
        if path not in self._sources:  # kept, since it knows where its lines begin
            self._sources[path] = Source(path, self.read(path).text)
        return self._sources[path]

    def change(self, path: str, text: str) -> None:
        """Put another text in the place of a file's; nothing is written."""
        self._sources[path] = Source(path, text)

    @property
    def changed(self) -> dict[str, str]:
        """The new texts, by name, of those that differ from what is on disk."""
        texts = {path: one.text for path, one in self._sources.items()}
        return {path: text for path, text in texts.items() if text != self.read(path).text}


def _bytes(path: str) -> bytes:
    if path == STDIN:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    with Path(path).open("rb") as file:
        return file.read(MAX_BYTES + 1)


def find_candidates(
    paths: Sequence[str], exclude: Sequence[str] = ()
) -> tuple[list[Candidate], list[Problem]]:
    """The files that paths name, each once, in the order of the paths and by name in folders.

    In folders these are left out: hidden folders, ``node_modules`` and its like, links to
    folders, what is no regular file, and files whose name says that they are no configuration.

    Args:
        exclude: patterns of paths to leave out.
    """
    found: list[Candidate] = []
    problems: list[Problem] = []
    seen: set[tuple[int, int]] = set()
    for path in paths:
        if path == STDIN:
            found.append(Candidate(STDIN, named=True))
            continue
        try:
            is_folder = stat.S_ISDIR(Path(path).stat().st_mode)
            names = _walk(path, exclude, problems) if is_folder else [os.path.normpath(path)]
            for name in names:
                at = Path(name).stat()
                if (at.st_dev, at.st_ino) not in seen and not is_excluded(name, exclude):
                    seen.add((at.st_dev, at.st_ino))
                    found.append(Candidate(name, named=not is_folder))
        except (OSError, ValueError) as error:
            problems.append(Problem(path, reason(error)))
    if sum(one.path == STDIN for one in found) > 1:
        raise UsageError("standard input can be read only once; give '-' once")
    return found, problems


def _walk(folder: str, exclude: Sequence[str], problems: list[Problem]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        problems.append(Problem(str(error.filename), reason(error)))

    for here, folders, files in os.walk(folder, onerror=unreadable):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED_FOLDERS
            and not is_excluded(str(Path(here, name)), exclude)
        )
        for name in sorted(files):
            path = Path(here, name)
            if _may_be_configuration(path) and path.is_file():
                yield os.path.normpath(path)


def _may_be_configuration(path: Path) -> bool:
    return path.suffix.lower() not in _SKIPPED_SUFFIXES and not _SKIPPED_NAMES.fullmatch(path.name)


def is_excluded(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern is that of the path or of a folder above it, or of the last part of one."""
    return any(
        fnmatch(name, pattern.rstrip("/"))
        for pattern in patterns
        for one in (Path(path), *Path(path).parents)
        for name in (str(one), one.name)
    )


def reason(error: OSError | ValueError) -> str:
    """Why a file cannot be had, in words."""
    return (isinstance(error, OSError) and error.strerror) or str(error)
