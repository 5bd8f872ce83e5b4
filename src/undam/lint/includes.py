"""Opens what a configuration includes: only inside a known reach, bounded in number and size."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

from undam.lint import Source, UnreadPart
from undam.lint.files import STDIN, ConfigFiles

# A whole /etc/nginx has some 50 files.
MAX_FILES = 200
MAX_TOTAL_BYTES = 10_000_000
# `conf.d/*/*.conf` is as much as is met; each further one multiplies what must be looked at.
_MAX_WILD_PARTS = 2
# How far above a file its main file is looked for.
_LEVELS = 3

_WILD = re.compile(r"[*?\[]")
# Where a program keeps its configuration in its own container: the rest of the path is looked for
# beside the file that includes it.
_HOME = re.compile(r"^/(?:etc|usr/local(?:/etc)?|opt|bitnami)/[^/]+(?:/conf)?/(?=.)")
# What packages bring along, and which says nothing of streams.
_STOCK = re.compile(r"(?:mime\.types|_params|\.types)$")
_MAIN_FILES = (
    "nginx.conf", "haproxy.cfg", "httpd.conf", "apache2.conf", "lighttpd.conf", "squid.conf",
    "default.vcl", "Caddyfile", "records.config", "records.yaml",
)  # fmt: skip


class Includes:
    """``IncludeOpener`` for one file that is linted.

    A relative pattern starts from the folder of the linted file, from that of the program's main
    file, or from the one above: the first that has such a file. Nothing is opened outside the
    working directory, the folders that were named, and these.

    Args:
        linted: path of the file; "-" includes from the working directory.
        named: folders that the user gave.
    """

    def __init__(self, files: ConfigFiles, linted: str, named: Sequence[str] = ()) -> None:
        self._files = files
        folder = Path.cwd() if linted == STDIN else Path(os.path.realpath(linted)).parent
        main = _main_folder(folder)
        self._bases = list(dict.fromkeys((folder, main, folder.parent)))
        reach = [Path(), *map(Path, named), folder, main]
        self._reach = [Path(os.path.realpath(one)) for one in reach]
        self._opened: set[str] = set()
        self._bytes = 0
        self._left: dict[str, str] = {}

    def __call__(self, pattern: str) -> list[Source]:
        if sum(bool(_WILD.search(part)) for part in pattern.split("/")) > _MAX_WILD_PARTS:
            self._left[pattern] = "which has too many wildcards"
            return []
        for place in self._places(pattern):
            found = self._open_all(pattern, place)
            if found:
                return found
        if not _WILD.search(pattern) and not _STOCK.search(pattern):
            self._left.setdefault(pattern, "which is not there")
        return []

    def unread(self, sources: Sequence[Source]) -> list[UnreadPart]:
        """What was not opened, where ``sources`` name it; other patterns were only tried."""
        told = []
        for pattern, why in self._left.items():
            line = next(filter(None, (_line_of(pattern, source) for source in sources)), None)
            if line is not None:
                told.append(UnreadPart(*line, f"{pattern}, {why}"))
        return told

    def _places(self, pattern: str) -> Iterator[str]:
        relative = pattern
        if pattern.startswith("/"):
            yield pattern
            relative = _HOME.sub("", pattern)
            if relative.startswith("/"):
                return
        for base in self._bases:
            yield f"{glob.escape(str(base))}/{relative}"

    def _open_all(self, pattern: str, place: str) -> list[Source]:
        found: list[Source] = []
        try:
            paths = sorted(islice(glob.iglob(place), MAX_FILES + 1))  # noqa: PTH207
        except (OSError, ValueError, re.error):
            return []
        for path in paths:
            source = self._open(pattern, path)
            if source is not None:
                found.append(source)
        return found

    def _open(self, pattern: str, path: str) -> Source | None:
        real = os.path.realpath(path)
        if not Path(real).is_file():
            return None
        if not any(Path(real).is_relative_to(root) for root in self._reach):
            self._left[pattern] = "which lies outside the folders that may be read"
            return None
        if real not in self._opened:
            if len(self._opened) >= MAX_FILES or self._bytes >= MAX_TOTAL_BYTES:
                self._left[pattern] = "which is one of too many included files"
                return None
            self._opened.add(real)
            self._bytes += Path(real).stat().st_size
        name = self._files.name(real)
        try:
            text = self._files.read(name)
        except OSError as error:
            self._left[pattern] = f"which cannot be read ({error.strerror})"
            return None
        if not text.is_text or text.is_too_large:
            self._left[pattern] = "which is no text, or larger than 1 MB"
            return None
        return self._files.source(name)


def _main_folder(folder: Path) -> Path:
    """The nearest folder, from this one upwards, with a program's main file; else this one."""
    for here in (folder, *folder.parents)[:_LEVELS]:
        if any((here / name).is_file() for name in _MAIN_FILES):
            return here
    return folder


def _line_of(pattern: str, source: Source) -> tuple[str, int] | None:
    """Path and number of the line that names a pattern, unless that is a comment."""
    at = source.text.find(pattern)
    while pattern and at >= 0:
        start, _ = source.line_span(at)
        if not source.text[start:at].lstrip().startswith(("#", "//")):
            return source.path, source.position(at)[0]
        at = source.text.find(pattern, at + 1)
    return None
