"""Arguments of the MCP tools: schemas, limits, and the resulting command lines.

A tool runs a command of undam in a process of its own. The arguments come from a language model,
which may have copied them from an untrusted page. Therefore unknown arguments are rejected, sizes
and times are limited, and no value can be taken for an option or a file name.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from undam.errors import UsageError
from undam.secrecy import is_secret_name, secrets_in
from undam.wire.url import is_link_local, parse_url

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_MAX_BODY_BYTES = 256 << 10
_MAX_CAPTURE_BYTES = 512 << 20
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal"})

HttpUrl = Annotated[str, Field(max_length=2048, pattern=r"^https?://[^\s]+$")]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
RelativePath = Annotated[str, Field(min_length=1, max_length=1000)]

# For each API key variable: the host to which the key may be sent, and a variable with a base URL.
# The key may also be sent to the origin of that URL.
_KEYS = {
    "OPENAI_API_KEY": ("api.openai.com", "OPENAI_BASE_URL"),
    "ANTHROPIC_API_KEY": ("api.anthropic.com", "ANTHROPIC_BASE_URL"),
}


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Settings of the MCP server that limit the tools.

    Args:
        root: the folder below which files may be read; absolute, without links.
        monitor_config: configuration of the monitor whose state is shown.
        environ: environment of the server.
    """

    root: Path
    monitor_config: str | None
    environ: Mapping[str, str]

    def inside(self, text: str) -> Path:
        """Return the absolute path of a file or folder below the root.

        Raises:
            UsageError: the path does not exist, or it is not below the root.
        """
        try:
            path = (self.root / text).resolve()
            is_inside = path.is_relative_to(self.root)
            exists = is_inside and path.exists()
        except (OSError, ValueError):
            is_inside = exists = False
        if not is_inside:
            raise UsageError(f"{text!r} is not below the root of this server")
        if not exists:
            raise UsageError(f"{text!r} does not exist below the root of this server")
        return path

    def relative(self, text: str) -> str:
        """Return a path relative to the root. Raises the same errors as `inside`."""
        path = self.inside(text).relative_to(self.root)
        return f"./{path}" if str(path).startswith("-") else str(path)


class ToolArguments(BaseModel):
    """Base class for the arguments of an MCP tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_seconds: ClassVar[float] = 15.0
    """Time after which the process of the tool is killed."""
    reads_files: ClassVar[bool] = False
    """True if the process is confined to files below the root."""

    @abstractmethod
    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the command-line arguments for `undam`, without ``--json``.

        Args:
            folder: an empty folder for files that the command reads.

        Raises:
            UsageError: a value is invalid.
        """

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets in the arguments. The result must not contain them."""
        return ()

    def environ(self, context: ToolContext) -> dict[str, str]:
        """Return the environment for the process; by default, it contains no API key."""
        return {name: one for name, one in context.environ.items() if not is_secret_name(name)}


class CheckArguments(ToolArguments):
    """Arguments of `check`."""

    max_seconds: ClassVar[float] = 300.0

    url: HttpUrl = Field(description="Endpoint that users call, for instance "
                         "https://chat.example.com/v1/chat/completions")  # fmt: skip
    hops: dict[str, HttpUrl] = Field(
        default={}, max_length=5,
        description="Endpoints of inner hops by name; the one nearest to the model comes last.",
    )  # fmt: skip
    headers: dict[str, Annotated[str, Field(max_length=8192)]] = Field(
        default={}, max_length=30, description="Request headers, such as Authorization."
    )
    model: ShortText | None = Field(default=None, description="Name of the model to request.")
    prompt: Annotated[str, Field(max_length=20_000)] | None = Field(
        default=None, description="Prompt to send instead of the default one."
    )
    body: dict[str, Any] | None = Field(
        default=None, description="JSON request body to send instead of the default one."
    )
    timeout_s: Annotated[float, Field(ge=1, le=120)] = Field(
        default=60.0, description="Time limit of each stream in seconds."
    )
    experiments: bool = Field(
        default=True, description="Send further requests if the first ones leave the cause open."
    )
    beacon: bool = Field(
        default=False, description="The origin is `undam sim` or runs undam.asgi.Beacon."
    )

    @field_validator("url")
    @classmethod
    def _url_is_allowed(cls, url: str) -> str:
        _require_allowed(url)
        return url

    @field_validator("hops")
    @classmethod
    def _hops_are_allowed(cls, hops: dict[str, str]) -> dict[str, str]:
        for name, url in hops.items():
            if _NAME.fullmatch(name) is None:
                raise ValueError("the name of a hop must have 1 to 64 letters, digits, . _ or -")
            _require_allowed(url)
        return hops

    @field_validator("headers")
    @classmethod
    def _headers_are_valid(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if _HEADER_NAME.fullmatch(name) is None or not value.isprintable():
                raise ValueError("a header needs a valid name, and a value on one line")
        return headers

    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the arguments for `undam check`; secrets are passed in files."""
        found = ["check", f"--timeout={self.timeout_s:g}"]
        found += [f"--hop={name}={url}" for name, url in self.hops.items()]
        if self.headers:
            lines = "".join(f"{name}: {value}\n" for name, value in self.headers.items())
            found.append(f"-H@{_written(folder / 'headers', lines.encode())}")
        if self.model is not None:
            found.append(f"--model={self.model}")
        if self.prompt is not None:
            found.append(f"--prompt={self.prompt}")
        if self.body is not None:
            body = json.dumps(self.body).encode()
            if len(body) > _MAX_BODY_BYTES:
                raise UsageError(f"body: larger than {_MAX_BODY_BYTES >> 10} KiB")
            found.append(f"--data=@{_written(folder / 'body.json', body)}")
        found += ["--no-experiments"] * (not self.experiments) + ["--beacon"] * self.beacon
        return [*found, "--", self.url]

    def secrets(self) -> tuple[str, ...]:
        """Return the secrets in headers and URLs."""
        return secrets_in(self.headers.items(), [self.url, *self.hops.values()])

    def environ(self, context: ToolContext) -> dict[str, str]:
        """Return the environment, with a key only if every URL belongs to the key's provider.

        Otherwise a page that suggests a URL to the model could collect the user's key.
        """
        found = super().environ(context)
        for name, (provider, base) in _KEYS.items():
            allowed = {("https", provider, 443), *_origins([context.environ.get(base, "")])}
            if name in context.environ and _origins([self.url, *self.hops.values()]) <= allowed:
                found[name] = context.environ[name]
        return found


class ExplainArguments(ToolArguments):
    """Arguments of `explain`."""

    name: ShortText = Field(description="Code or slug of a finding, such as UD102 or NGX101, or "
                            "an intermediary such as nginx or cloudflare.")  # fmt: skip
    version: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="Show only what applies to this version of the intermediary."
    )

    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the arguments for `undam explain`."""
        version = [] if self.version is None else [f"--version={self.version}"]
        return ["explain", *version, "--", self.name]


class LintArguments(ToolArguments):
    """Arguments of `lint`."""

    max_seconds: ClassVar[float] = 60.0
    reads_files: ClassVar[bool] = True

    paths: list[RelativePath] = Field(
        min_length=1, max_length=50, description="Files and folders, relative to the root."
    )
    dialect: Annotated[str, Field(max_length=40)] | None = Field(
        default=None, description="Dialect of the files, such as nginx; detected by default."
    )
    select: list[ShortText] = Field(
        default=[], max_length=50, description="Enable only these rules."
    )
    ignore: list[ShortText] = Field(default=[], max_length=50, description="Disable these rules.")
    markdown: bool = Field(default=False, description="Lint the code fences of Markdown as well.")

    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the arguments for `undam lint`."""
        found = ["lint", *(f"--select={one}" for one in self.select)]
        found += [f"--ignore={one}" for one in self.ignore]
        found += [] if self.dialect is None else [f"--dialect={self.dialect}"]
        found += ["--markdown"] * self.markdown
        return [*found, "--", *map(context.relative, self.paths)]


class TapArguments(ToolArguments):
    """Arguments of `tap`."""

    max_seconds: ClassVar[float] = 120.0
    reads_files: ClassVar[bool] = True

    capture: RelativePath = Field(
        description="pcap or pcapng file with both sides of a proxy, relative to the root."
    )
    ports: list[Annotated[int, Field(ge=1, le=65535)]] = Field(
        default=[], max_length=20, description="Only connections with one of these ports."
    )

    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the arguments for `undam tap`."""
        path = context.inside(self.capture)
        if not path.is_file():
            raise UsageError(f"{self.capture!r} is not a file")
        if path.stat().st_size > _MAX_CAPTURE_BYTES:
            raise UsageError(f"{self.capture!r} is larger than {_MAX_CAPTURE_BYTES >> 20} MiB")
        return ["tap", *(f"--port={port}" for port in self.ports), "-r", str(path)]


class MonitorStatusArguments(ToolArguments):
    """Arguments of `monitor_status`."""

    target: Annotated[str, Field(pattern=f"^{_NAME.pattern}$")] | None = Field(
        default=None, description="Only this target."
    )

    def command(self, context: ToolContext, folder: Path) -> list[str]:
        """Return the arguments for `undam monitor status`."""
        if context.monitor_config is None:
            raise UsageError("no monitor is configured; start undam mcp with --monitor-config FILE")
        target = [] if self.target is None else [f"--target={self.target}"]
        return ["monitor", f"--config={context.monitor_config}", "status", *target]

    def environ(self, context: ToolContext) -> dict[str, str]:
        """Return the whole environment, because the configuration may refer to any variable."""
        return dict(context.environ)


def _require_allowed(url: str) -> None:
    """Reject invalid URLs, and addresses of cloud services that return credentials.

    Raises:
        ValueError: the URL is rejected.
    """
    try:
        host = parse_url(url).host
    except UsageError as error:
        raise ValueError(str(error)) from None
    if host.rstrip(".") in _METADATA_HOSTS or _is_link_local(host):
        raise ValueError("link-local addresses and metadata services are not allowed")


def _is_link_local(host: str) -> bool:
    try:
        # inet_aton also accepts the short and decimal forms of addresses that connect() accepts.
        address = host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return False
    return is_link_local(address)


def _origins(urls: Iterable[str]) -> set[tuple[str, str, int]]:
    """Return the origins of the URLs. Invalid and empty URLs are skipped."""
    found = set()
    for url in filter(None, urls):
        with contextlib.suppress(UsageError):
            found.add(parse_url(url).origin)
    return found


def _written(path: Path, data: bytes) -> Path:
    """Write a file that only this user can read, and return its path."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    return path
