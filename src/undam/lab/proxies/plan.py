"""Input for starting a proxy: working directory, account and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent
from urllib.parse import urlsplit

from undam.errors import UsageError


@dataclass(frozen=True, slots=True)
class RunAs:
    """Account to which a program switches if root starts it."""

    user: str
    group: str
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class Workspace:
    """Directory, port on 127.0.0.1 and account for a program.

    ``account`` is ``None`` if the program runs as the current user.
    """

    directory: Path
    port: int
    account: RunAs | None = None


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Files and arguments for starting a program in a ``Workspace``.

    ``config`` is written to the file ``config_name``. ``files`` and ``folders`` are relative to the
    directory.
    """

    config: str
    config_name: str
    arguments: tuple[str, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    folders: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UpstreamAddress:
    """Address of the next hop towards the origin."""

    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port, in the form used in URLs."""
        return f"{self.host}:{self.port}"


def parse_upstream(url: str) -> UpstreamAddress:
    """Parse ``http://HOST[:PORT]``; raise ``UsageError`` for any other URL."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UsageError(f"upstream {url!r}: {error}") from error
    extra = parts.path.strip("/") or parts.query or parts.fragment or parts.username
    if parts.scheme != "http" or not parts.hostname or extra:
        raise UsageError(f"upstream {url!r}: use http://HOST:PORT")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return UpstreamAddress(host, 80 if port is None else port)


def indent_directives(directives: str, columns: int) -> str:
    """Return ``directives`` as indented lines, or an empty string if there are none."""
    stripped = directives.strip("\n")
    return indent(stripped, " " * columns) + "\n" if stripped.strip() else ""
