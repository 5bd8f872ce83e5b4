"""Names of the processes that listen on this machine's ports, from /proc."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable
from pathlib import Path

from undam.tap.capture.segments import Endpoint

_LISTEN = "0A"
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_CONTAINER = re.compile(
    r"(?:docker|containerd|crio|libpod|kubepods)[^\n]*?([0-9a-f]{12})[0-9a-f]{52}"
)


def processes_of(addresses: Iterable[Endpoint], proc: Path = Path("/proc")) -> dict[Endpoint, str]:
    """Return the name of the process that listens on each address.

    A process in a container has the beginning of the container's ID added, as ``nginx
    (container 0123456789ab)``. Addresses of other hosts, and processes that this user may not
    inspect, are missing from the result.

    Args:
        proc: where procfs is mounted.
    """
    wanted = set(addresses)
    inodes = _listening(proc)
    by_inode = {
        inode: address for address in wanted if (inode := inodes.get(address.port)) is not None
    }
    found: dict[Endpoint, str] = {}
    for folder in proc.iterdir() if by_inode else ():
        if folder.name.isdigit():
            for inode in _sockets(folder) & set(by_inode):
                name = _name(folder)
                if name:
                    found.setdefault(by_inode[inode], name)
    return found


def _listening(proc: Path) -> dict[int, str]:
    """Return the socket inode of each listening TCP port."""
    found: dict[int, str] = {}
    for name in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for line in (proc / "net" / name).read_text().splitlines()[1:]:
                fields = line.split()
                if len(fields) > 9 and fields[3] == _LISTEN:
                    found.setdefault(int(fields[1].rpartition(":")[2], 16), fields[9])
    return found


def _sockets(folder: Path) -> set[str]:
    inodes: set[str] = set()
    with contextlib.suppress(OSError):
        for entry in (folder / "fd").iterdir():
            with contextlib.suppress(OSError):
                if match := _SOCKET.match(str(entry.readlink())):
                    inodes.add(match[1])
    return inodes


def _name(folder: Path) -> str:
    name, container = "", None
    with contextlib.suppress(OSError):
        name = (folder / "comm").read_text().strip()
        container = _CONTAINER.search((folder / "cgroup").read_text())
    return f"{name} (container {container[1]})" if name and container else name
