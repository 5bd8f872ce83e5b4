"""Opener for the files that a configuration includes. Folders, number and size are limited."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from undam.lint.dialect import PartlyOpened, is_stock_include
from undam.lint.files import STDIN, ConfigFiles
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.templates import with_placeholders

# A complete /etc/nginx folder has about 50 files.
MAX_FILES = 200
MAX_TOTAL_BYTES = 10_000_000
# Maximum number of times that included files are opened in one run. A site with 300 virtual hosts
# opens five files in each. Without a limit, files that include each other would be opened
# endlessly.
MAX_OPENED = 4000
# In practice, at most two path parts have wildcards (`conf.d/*/*.conf`). Each additional one
# multiplies the number of files to list.
_MAX_WILDCARD_PARTS = 2
# Number of folders to search for the main file: the linted file's folder and its parents.
_MAIN_FILE_LEVELS = 3

_WILDCARD = re.compile(r"[*?\[]")
# Configuration folders in a container. In a repository, the remaining path is relative to the
# including file.
_CONTAINER_FOLDER = re.compile(r"^/(?:etc|usr/local(?:/etc)?|opt|bitnami)/[^/]+(?:/conf)?/(?=.)")
# A repository often contains a template in place of the included file.
_TEMPLATE_ENDINGS = (".template", ".tmpl", ".tpl", ".j2", ".jinja2", ".erb", ".inc", ".example")
_MAIN_FILES = (
    "nginx.conf", "haproxy.cfg", "httpd.conf", "apache2.conf", "lighttpd.conf", "squid.conf",
    "default.vcl", "Caddyfile", "records.config", "records.yaml",
)  # fmt: skip


class IncludeBudget:
    """Number of includes that a lint run may still open, over all linted files."""

    def __init__(self) -> None:
        self.left = MAX_OPENED

    def take(self) -> bool:
        """Use up one include. Return false if none was left."""
        self.left -= 1
        return self.left >= 0


class Includes:
    """``IncludeOpener`` for one linted file.

    A relative pattern is resolved from the folder of the linted file, from that of the program's
    main file, or from the parent folder; the first one with a matching file is used. Files are
    opened only below the working directory, the folders that the user gave, the folder of the
    linted file, and that of the main file.

    Args:
        linted: path of the file; "-" resolves includes from the working directory.
        named: folders that the user gave.
        budget: shared by all files of a run.
    """

    def __init__(
        self,
        files: ConfigFiles,
        linted: str,
        named: Sequence[str] = (),
        budget: IncludeBudget | None = None,
    ) -> None:
        self._files = files
        self._budget = budget or IncludeBudget()
        # Cached, because listing a folder is slow and the matching files do not change during a
        # run.
        self._paths: dict[str, list[str]] = {}
        folder = Path.cwd() if linted == STDIN else Path(os.path.realpath(linted)).parent
        main = _main_folder(folder)
        self._bases = list(dict.fromkeys((folder, main, folder.parent)))
        roots = [Path(), *map(Path, named), folder, main]
        self._roots = [Path(os.path.realpath(root)) for root in roots]
        self._opened: set[str] = set()
        self._bytes = 0
        # Maps each pattern that was not opened to the reason.
        self._unopened: dict[str, str] = {}
        # Maps each pattern with unopened files to the limit that was reached.
        self._limited: dict[str, str] = {}

    def __call__(self, pattern: str) -> list[Source]:
        if sum(bool(_WILDCARD.search(part)) for part in pattern.split("/")) > _MAX_WILDCARD_PARTS:
            self._unopened[pattern] = "too many wildcards"
            return []
        for ending in ("", *_TEMPLATE_ENDINGS):
            for path_pattern in self._path_patterns(pattern):
                sources = self._open_all(pattern, path_pattern + ending)
                if sources:
                    return self._checked(pattern, path_pattern + ending, sources)
        if not _WILDCARD.search(pattern) and not is_stock_include(pattern):
            self._unopened.setdefault(pattern, "not found")
        return []

    def unread(self, sources: Sequence[Source]) -> list[UnreadPart]:
        """Return the includes in ``sources`` that were not opened, each with the reason.

        Patterns that occur in no source are omitted, since only the parser tried them.
        """
        unread = []
        for pattern, why in (self._unopened | self._limited).items():
            if is_stock_include(pattern):
                continue
            for source in sources:
                position = _line_of(pattern, source)
                if position is not None:
                    what = f"{with_placeholders(pattern, source)} ({why})"
                    unread.append(UnreadPart(*position, what))
                    break
        return unread

    def _checked(self, pattern: str, found: str, sources: list[Source]) -> list[Source]:
        """Return the files as `PartlyOpened` if some are missing or others may be meant.

        Args:
            found: the path pattern whose files were opened.
        """
        if len(sources) < len(self._paths[found]):
            return PartlyOpened(sources)
        self._unopened.pop(pattern, None)
        if not _WILDCARD.search(pattern):
            opened = set(self._paths[found])
            for other in self._path_patterns(pattern):
                if set(_files_of(other)) - opened:
                    self._unopened[pattern] = "several files match, and only one was read"
                    return PartlyOpened(sources)
        return sources

    def _path_patterns(self, pattern: str) -> Iterator[str]:
        relative = pattern
        if pattern.startswith("/"):
            yield pattern
            relative = _CONTAINER_FOLDER.sub("", pattern)
            if relative.startswith("/"):
                return
        for base in self._bases:
            yield f"{glob.escape(str(base))}/{relative}"

    def _open_all(self, pattern: str, path_pattern: str) -> list[Source]:
        sources: list[Source] = []
        if path_pattern not in self._paths:
            self._paths[path_pattern] = _files_of(path_pattern)
        for path in self._paths[path_pattern]:
            if not self._budget.take():
                self._limited.setdefault(pattern, "too many includes in this run")
                break
            source = self._open(pattern, path)
            if source is not None:
                sources.append(source)
        return sources

    def _open(self, pattern: str, real: str) -> Source | None:
        if not any(Path(real).is_relative_to(root) for root in self._roots):
            self._unopened[pattern] = "outside the folders that may be read"
            return None
        if real not in self._opened:
            if len(self._opened) >= MAX_FILES or self._bytes >= MAX_TOTAL_BYTES:
                self._limited.setdefault(pattern, "too many included files")
                return None
            self._opened.add(real)
            self._bytes += Path(real).stat().st_size
        name = self._files.name(real)
        try:
            text = self._files.read(name)
        except OSError as error:
            self._unopened[pattern] = f"cannot be read: {error.strerror}"
            return None
        if not text.is_text or text.is_too_large:
            self._unopened[pattern] = "not text, or larger than 1 MB"
            return None
        return self._files.source(name)


def _files_of(path_pattern: str) -> list[str]:
    """Return the real paths of the files that match a pattern, sorted by name."""
    try:
        paths = sorted(islice(glob.iglob(path_pattern), MAX_FILES + 1))  # noqa: PTH207
    except (OSError, ValueError, re.error):
        return []
    return [real for real in map(os.path.realpath, paths) if Path(real).is_file()]


def _main_folder(folder: Path) -> Path:
    """Return the nearest folder, from ``folder`` upwards, that has a main file; else ``folder``."""
    for here in (folder, *folder.parents)[:_MAIN_FILE_LEVELS]:
        if any((here / name).is_file() for name in _MAIN_FILES):
            return here
    return folder


def _line_of(pattern: str, source: Source) -> tuple[str, int] | None:
    """Return path and number of the first line, except comments, that contains a pattern."""
    at = source.text.find(pattern)
    while pattern and at >= 0:
        start, _ = source.line_span(at)
        if not source.text[start:at].lstrip().startswith(("#", "//")):
            return source.path, source.position(at)[0]
        at = source.text.find(pattern, at + 1)
    return None
