"""Replacement of a file's text that preserves mode, owner, attributes and hard links."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from undam.errors import UsageError
from undam.lint.files import FileText, reason

_ANY_WRITE = stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH


def replace_text(
    path: str,
    before: FileText,
    text: str,
    roots: Sequence[str] = (),
    *,
    read_only: bool = False,
) -> None:
    """Write ``text`` to a file, keeping the file's encoding.

    A link is preserved: its target is written if the target is in the working directory, in one of
    ``roots``, or in the folder of the link.

    The file is replaced atomically. A file with several hard links, and one in a folder that cannot
    be written, is overwritten in place, because a new file would break the links.

    Args:
        before: the file as it was read. If it has changed since then, it is not written.
        read_only: also write a file whose mode permits nobody to write it.

    Raises:
        UsageError: the file cannot be written, and is unchanged; the message states the reason.
    """
    target = Path(os.path.realpath(path))
    allowed = (".", str(Path(path).parent), *roots)
    if not any(target.is_relative_to(os.path.realpath(folder)) for folder in allowed):
        raise UsageError(f"{path}: is a link to {target}; pass that path to fix it")
    try:
        status = target.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: is not a regular file")
        if not status.st_mode & _ANY_WRITE and not read_only:
            raise UsageError(f"{path}: is read-only; write it with --read-only")
        if target.read_bytes() != before.raw:
            raise UsageError(f"{path}: has changed since it was read; run again")
        data = before.encode(text)
        if status.st_nlink > 1 or not os.access(target.parent, os.W_OK):
            _overwrite(target, status, data)
        else:
            _replace(target, status, data)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be written ({reason(error)})") from None


def _overwrite(target: Path, status: os.stat_result, data: bytes) -> None:
    """Overwrite a file in place. On failure, for instance on a full disk, restore its content."""
    before = target.read_bytes()
    mode = stat.S_IMODE(status.st_mode)
    if not mode & stat.S_IWUSR:
        target.chmod(mode | stat.S_IWUSR)
    try:
        with target.open("r+b") as file:
            try:
                _write_all(file, data)
            except OSError:
                _write_all(file, before)
                raise
    finally:
        if not mode & stat.S_IWUSR:
            target.chmod(mode)


def _write_all(file: IO[bytes], data: bytes) -> None:
    file.seek(0)
    file.write(data)
    file.truncate()
    file.flush()
    os.fsync(file.fileno())


def _replace(target: Path, status: os.stat_result, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name[:100]}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        created = Path(temporary).stat()
        if (created.st_uid, created.st_gid) != (status.st_uid, status.st_gid):
            os.chown(temporary, status.st_uid, status.st_gid)
        Path(temporary).chmod(stat.S_IMODE(status.st_mode))
        _copy_attributes(target, temporary)
        Path(temporary).replace(target)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink(missing_ok=True)
        raise


def _copy_attributes(target: Path, temporary: str) -> None:
    """Copy extended attributes (ACLs and security labels) as far as the system allows."""
    with contextlib.suppress(OSError, AttributeError):
        for name in os.listxattr(target):
            with contextlib.suppress(OSError):
                os.setxattr(temporary, name, os.getxattr(target, name))
