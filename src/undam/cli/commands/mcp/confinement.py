"""Entry point of tool processes: limit files, memory and CPU time, then run `undam`.

A linter follows includes, and a link in a folder can point anywhere. An audit hook therefore checks
every file when it is opened, whichever module opens it.
"""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

# Names of settings files, which `undam lint` also reads from the folders above the root.
_SETTINGS = frozenset({"undam.toml", "pyproject.toml"})
_EVENTS = frozenset({"open", "os.listdir", "os.scandir"})
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAX_MEMORY_BYTES = 4 << 30


def audit_hook(root: str, writable: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return a hook that raises PermissionError for files outside the allowed folders.

    Args:
        root: folder whose files may be read.
        writable: folder whose files may be read and written.
    """
    settings = {str(folder / name) for folder in Path(root).parents for name in _SETTINGS}
    readable = [root, writable, *_program_folders(), "/dev"]

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _EVENTS:
            return
        path = arguments[0]
        if path is None or isinstance(path, int):
            return
        real = os.path.realpath(os.fsdecode(path))
        if event == "open" and _is_writing(*arguments[1:3]):
            is_allowed = _is_below(real, [writable]) or real == os.devnull
        else:
            is_allowed = _is_below(real, readable) or real in settings
        if not is_allowed:
            raise PermissionError(13, "outside the folders that this server may read", real)

    return hook


def _is_writing(mode: object, flags: object) -> bool:
    if isinstance(mode, str):
        return not set(mode).isdisjoint("wax+")
    return isinstance(flags, int) and bool(flags & _WRITING)


def _program_folders() -> Iterable[str]:
    """Return the folders from which the process imports modules."""
    paths = sysconfig.get_paths()
    found = {
        os.path.realpath(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")
    }
    found |= {os.path.realpath(path) for path in sys.path if path}
    found.add(str(Path(__file__).resolve().parents[4]))
    return found


def _is_below(path: str, folders: Iterable[str]) -> bool:
    return any(path == one or path.startswith(one.rstrip("/") + "/") for one in folders)


def limit_resources(seconds: float) -> None:
    """Limit memory and CPU time, so that no input can exhaust the machine."""
    for kind, most in (
        (resource.RLIMIT_AS, _MAX_MEMORY_BYTES),
        (resource.RLIMIT_CPU, int(seconds) + 1),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, hard))


def main(arguments: list[str]) -> None:
    """Run `undam` with limits; the arguments are ``SECONDS ROOT WRITABLE ARGUMENT…``.

    With an empty ROOT, all files can be opened.
    """
    seconds, root, writable, *rest = arguments
    from undam.cli.main import main as run_undam  # noqa: PLC0415 (before the limits)

    limit_resources(float(seconds))
    if root:
        sys.addaudithook(audit_hook(os.path.realpath(root), os.path.realpath(writable)))
    sys.argv = ["undam", *rest]
    run_undam()


if __name__ == "__main__":
    main(sys.argv[1:])
