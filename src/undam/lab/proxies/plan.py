"""What it takes to run a proxy, as data: where it lives, as whom, and with which files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from undam.errors import UsageError


@dataclass(frozen=True, slots=True)
class RunAs:
    """Whom a program becomes when root starts it."""

    user: str
    group: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """Where a program is to run: a directory of its own, a free port of 127.0.0.1, and as whom.

    ``account`` is None when the program runs as the user that starts it.
    """

    directory: Path
    port: int
    account: RunAs | None = None


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything to start one program in a ``Workspace``.

    ``config`` is the text that decides its behaviour, written to the file ``config_name``.
    ``files`` (names relative to the directory) and ``folders`` are made as well.
    """

    config: str
    config_name: str
    arguments: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upstream:
    """The next hop inwards."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"


def upstream_of(url: str) -> Upstream:
    """The host and port of ``http://HOST[:PORT]``; anything more in it raises ``UsageError``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"not an upstream: {url!r} ({error})") from error
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "http" or not parts.hostname or extra:
        raise UsageError(f"an upstream is written http://HOST:PORT, not {url!r}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Upstream(host, 80 if port is None else port)


def inset(directives: str, columns: int) -> str:
    """``directives`` as lines of their own, indented; nothing at all when there are none."""
    stripped = directives.strip("\n")
    return indent(stripped, " " * columns) + "\n" if stripped.strip() else ""
