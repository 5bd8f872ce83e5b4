"""Chromium without a window and without a driver: a page does what is asked, and reports itself."""

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

# Nothing but the page: no sandbox for root, no HTTP/3, nothing fetched by the browser itself.
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--no-proxy-server"),
)


@contextlib.contextmanager
def chromium(url: str, folder: Path) -> Iterator[None]:
    """Show ``url`` as long as the block runs; skips the test where there is no Chromium.

    Args:
        folder: an empty one, for its profile.
    """
    program = shutil.which("chromium")
    if program is None:
        skip_or_fail(Missing("chromium", "apt-get install --no-install-recommends chromium"))
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={folder / 'profile'}", url],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
            start_new_session=True,
        )
    try:
        yield
    finally:
        # It is several processes, and the first may end before the others.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
