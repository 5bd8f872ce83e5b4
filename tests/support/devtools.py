"""Chromium, controlled through the DevTools protocol over a pipe, without a driver or a port."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from support.browser import FLAGS
from support.live import skip_or_fail
from undam.lab.proxies import Missing

_TIMEOUT_S = 30.0


class Tab:
    """Browser tab that records page errors and network requests."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._received = b""
        self._next = 0
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """Send a command and return its result; store other messages in ``events``."""
        self._next += 1
        message = {"id": self._next, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            got = self._receive()
            if got.get("id") == self._next:
                assert "error" not in got, got
                result = got["result"]
                assert isinstance(result, dict)
                return result
            self.events.append(got)

    def show(self, url: str) -> None:
        """Load ``url`` and wait for the load event."""
        before = len(self.events)
        self.call("Page.navigate", url=url)
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events[before:]):
            self.events.append(self._receive())

    def scheme(self, name: str) -> None:
        """Set the preferred colour scheme: ``light`` or ``dark``."""
        features = [{"name": "prefers-color-scheme", "value": name}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def run(self, script: str) -> Any:
        """Evaluate a JavaScript expression and return its value."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"]["value"]

    def screenshot(self, to: Path) -> None:
        """Save a screenshot of the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        to.write_bytes(base64.b64decode(shot["data"]))

    @property
    def console_errors(self) -> list[dict[str, Any]]:
        """Events for console messages, log entries and uncaught exceptions."""
        kinds = {"Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"}
        return [one for one in self.events if one.get("method") in kinds]

    @property
    def requested(self) -> list[str]:
        """All requested URLs."""
        sent = [one for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        return [one["params"]["request"]["url"] for one in sent]

    def _receive(self) -> dict[str, Any]:
        give_up = time.monotonic() + _TIMEOUT_S
        while b"\0" not in self._received:
            ready, _, _ = select.select([self._from], [], [], give_up - time.monotonic())
            assert ready, "no message from Chromium"
            part = os.read(self._from, 1 << 20)
            assert part, "Chromium has exited"
            self._received += part
        message, _, self._received = self._received.partition(b"\0")
        value = json.loads(message)
        assert isinstance(value, dict)
        return value


@contextlib.contextmanager
def browser_tab(folder: Path) -> Iterator[Tab]:
    """Open a browser tab during the block; skip the test if Chromium is missing.

    Args:
        folder: empty folder for the profile.
    """
    program = shutil.which("chromium")
    if program is None:
        skip_or_fail(Missing("chromium", "apt-get install --no-install-recommends chromium"))
    read_end, to_browser = _high_pipe()
    from_browser, write_end = _high_pipe()
    # Chromium reads commands from descriptor 3 and writes responses to descriptor 4.
    script = f'exec "$@" 3<&{read_end} 4>&{write_end}'
    flags = [*FLAGS, "--remote-debugging-pipe", "--window-size=1100,900"]
    flags.append(f"--user-data-dir={folder / 'profile'}")
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", program, *flags],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "HOME": str(folder)},
            pass_fds=(read_end, write_end),
            start_new_session=True,
        )
    os.close(read_end)
    os.close(write_end)
    try:
        yield Tab(to_browser, from_browser)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        os.close(to_browser)
        os.close(from_browser)


def _high_pipe() -> tuple[int, int]:
    """Return a pipe whose descriptors are not 3 and 4, which the browser uses."""
    low = os.pipe()
    read_end, write_end = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in low)
    for end in low:
        os.close(end)
    return read_end, write_end
