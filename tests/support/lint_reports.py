"""Helpers that lint files given as texts, and read the JSON report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from support.config_files import write
from support.undam_command import invoke


@dataclass(frozen=True)
class ReportedLint:
    """Exit code and JSON report of one `undam lint` run."""

    code: int
    report: dict[str, Any]

    @property
    def codes(self) -> list[str]:
        """The code and severity of each finding."""
        return [f"{one['code']} {one['severity']}" for one in self.report["findings"]]

    @property
    def places(self) -> list[str]:
        """The code, path and line of each finding."""
        return [f"{one['code']} {one['path']}:{one['line']}" for one in self.report["findings"]]

    @property
    def faults(self) -> list[str]:
        """The code of each error and warning."""
        return [one["code"] for one in self.report["findings"] if one["severity"] != "info"]

    @property
    def outcomes(self) -> dict[str, str]:
        """The outcome for each route, by the route's path."""
        return {one["route"]: one["outcome"] for one in self.report["routes"]["list"]}

    def message(self, code: str) -> str:
        """Return the message of the first finding with this code."""
        return str(next(o["message"] for o in self.report["findings"] if o["code"] == code))


def lint_files(files: dict[str, str], *args: str, paths: tuple[str, ...] = (".",)) -> ReportedLint:
    """Write files to the working directory and lint ``paths``."""
    for name, text in files.items():
        write(name, text)
    result = invoke("lint", *paths, *args, "--json")
    return ReportedLint(result.code, result.json)


def location(path: str, upstream: str, more: str = "") -> str:
    """Return an nginx configuration with one server and one location."""
    return f"server {{ listen 80; location {path} {{ proxy_pass {upstream}; {more} }} }}\n"
