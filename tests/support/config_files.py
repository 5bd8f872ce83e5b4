"""Helpers for lint tests: writing configuration files, and linting them through the API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from undam.lint import LintOptions, SettingsOverrides, lint_paths

SERVER = "server { location /v1/ { proxy_pass http://127.0.0.1:9000; } }\n"
"""A server block with one diagnostic, NGX101."""

MAIN = "events {}\nhttp { include conf.d/*.conf; }\n"
"""An nginx.conf that includes other files."""


HEARTBEATS: dict[str, Any] = {"overrides": SettingsOverrides(heartbeat_s=15)}
"""Options for servers that send heartbeats, so that default limits have no diagnostics."""


def write_settings() -> None:
    """Write an undam.toml for nginx 1.22 and servers with heartbeats to the working directory.

    The only diagnostic of `SERVER` is then NGX101, as an error.
    """
    Path("undam.toml").write_text("heartbeat = 15\ntarget = { nginx = '1.22' }\n")


def write(name: str, text: str) -> str:
    """Write a file to a path relative to the working directory, and return its path."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, "utf-8", newline="")
    return name


def diagnostics(*paths: str, **options: Any) -> list[tuple[str, str]]:
    """Lint these paths, and return the code and path of each diagnostic."""
    report = lint_paths(paths, options=LintOptions(**HEARTBEATS, **options))
    return [(one.rule.code, one.path) for one in report.diagnostics]
