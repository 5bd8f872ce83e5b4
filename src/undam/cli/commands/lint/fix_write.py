"""Puts a mended text in the place of a file: whole or not at all, with its mode and owner."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path

from undam.errors import UsageError
from undam.lint.files import FileText, reason


def replace_text(path: str, before: FileText, text: str, roots: Sequence[str] = ()) -> None:
    """Write ``text`` in the file's own encoding.

    A link stays one: what it points to is written, if that lies in the working directory, in one of
    ``roots``, or beside the link.

    Args:
        before: the file as it was read. If it has changed since, it is left alone.

    Raises:
        UsageError: it cannot be written; says why. The file is then as it was.
    """
    target = Path(os.path.realpath(path))
    reach = (".", str(Path(path).parent), *roots)
    if not any(target.is_relative_to(os.path.realpath(one)) for one in reach):
        raise UsageError(f"{path}: is a link to {target}, which was not named; name it to mend it")
    try:
        kept = target.stat()
        if not stat.S_ISREG(kept.st_mode):
            raise UsageError(f"{path}: is no regular file")
        if target.read_bytes() != before.raw:
            raise UsageError(f"{path}: has changed since it was read; run again")
        _replace(target, kept, before.encode(text))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be written ({reason(error)})") from None


def _replace(target: Path, kept: os.stat_result, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        own = Path(temporary).stat()
        if (own.st_uid, own.st_gid) != (kept.st_uid, kept.st_gid):
            os.chown(temporary, kept.st_uid, kept.st_gid)
        Path(temporary).chmod(stat.S_IMODE(kept.st_mode))
        _copy_attributes(target, temporary)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise


def _copy_attributes(target: Path, temporary: str) -> None:
    """Access lists and security labels, where the system lets them be set."""
    with contextlib.suppress(OSError, AttributeError):
        for name in os.listxattr(target):
            with contextlib.suppress(OSError):
                os.setxattr(temporary, name, os.getxattr(target, name))
