"""Anonymous ID of this host, and its limit on open files."""

from __future__ import annotations

import contextlib
import hashlib
import socket
from pathlib import Path


def host_name() -> str:
    """Return a hash that is the same for all processes on a host until the host reboots.

    Processes with the same name share a clock, so their timestamps are comparable. Containers on
    one kernel have the same name. Without /proc, the hash is that of the host name.
    """
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        text = socket.gethostname()
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def raise_file_limit() -> int | None:
    """Raise the limit on open files to the hard limit; many shells start with 1024.

    Returns:
        The new limit, or ``None`` if there is none.
    """
    import resource  # noqa: PLC0415 (not available on Windows)

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft
