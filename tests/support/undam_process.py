"""What tests of the command line share: a finished command, and types of the fixtures."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 60.0

# What may change what a check does or how it prints.
_OWN = ("_PROXY", "_API_KEY", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COVERAGE_PROCESS")


@dataclass(frozen=True)
class CompletedCommand:
    """What a finished command said."""

    code: int
    out: str
    err: str

    @property
    def line(self) -> str:
        """The one line on standard error; there must be no other."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("undam: ")
        return lines[0]

    @property
    def json(self) -> dict[str, Any]:
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found

    @property
    def codes(self) -> set[str]:
        """The codes of the findings, from JSON on standard output."""
        return {one["code"] for one in self.json["findings"]}


RunCommand = Callable[..., CompletedCommand]
StartCommand = Callable[..., "subprocess.Popen[bytes]"]


def environment(**more: str) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(_OWN[:2]) and name not in _OWN
    }
    return {**kept, "PYTHONWARNINGS": "error", "LC_ALL": "C.UTF-8", **more}


@dataclass(frozen=True)
class Certificates:
    """An authority, servers that bear its certificates, and files for the command line."""

    cacert: str
    client: str
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext
    strict: ssl.SSLContext
