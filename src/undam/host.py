"""Anonymous name of this host."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path


def host_name() -> str:
    """Return a hash that is the same for all processes during one boot of one host.

    Processes with the same name share a clock, so their timestamps are comparable. Containers on
    one kernel have the same name. Without /proc, the hash is that of the host name.
    """
    try:
        text = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        text = socket.gethostname()
    return hashlib.sha256(text.encode()).hexdigest()[:16]
