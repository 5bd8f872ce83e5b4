"""Headless Chromium without a driver: the page itself runs the test and reports the result."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from support.live import skip_or_fail
from undam.lab.proxies import Missing

# No sandbox (required for root), no HTTP/3, and no background requests.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--no-proxy-server"),
)


@contextlib.contextmanager
def chromium(url: str, folder: Path, *flags: str) -> Iterator[None]:
    """Show ``url`` in Chromium during the block; skip the test if Chromium is missing.

    Args:
        folder: empty folder for the profile.
        flags: further flags of the program.
    """
    program = shutil.which("chromium")
    if program is None:
        skip_or_fail(Missing("chromium", "apt-get install --no-install-recommends chromium"))
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", url],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
            start_new_session=True,
        )
    try:
        yield
    finally:
        # Chromium has several processes, and the first may exit before the others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
