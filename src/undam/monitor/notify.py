"""Messages about changes: a JSON line for each, and webhooks with a limited number of retries."""

from __future__ import annotations

import asyncio
import datetime
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from undam.monitor.store import StateChange

_ATTEMPTS = 3
_TIMEOUT_S = 10.0
_PAUSE_S = 2.0
_MAX_PENDING = 100


def time_text(at_s: float) -> str:
    """Return a Unix time as RFC 3339 text in UTC."""
    moment = datetime.datetime.fromtimestamp(at_s, datetime.UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def change_json(change: StateChange) -> dict[str, object]:
    """Return a change as JSON data for the log and the webhook."""
    return {
        "schema": 1,
        "kind": "change",
        "target": change.target,
        "since": time_text(change.at_s),
        "text": change.text,
        "verdict_before": change.before.verdict,
        "verdict": change.after.verdict,
        "findings": list(change.after.codes),
        "fixes": list(change.after.fixes),
    }


def slack_json(change: StateChange) -> dict[str, object]:
    """Return the message about a change in the format of Slack's incoming webhooks."""
    return {"text": f"undam: {change.target}, since {time_text(change.at_s)}: {change.text}"}


class Webhooks:
    """Background sender that posts changes to webhook URLs.

    At most 100 messages wait. A failure is reported without the URL's path and query, which usually
    contain a secret.

    Args:
        problem: receives the text of a failure.
    """

    def __init__(
        self,
        urls: Mapping[str, Callable[[StateChange], dict[str, object]]],
        problem: Callable[[str], None],
        *,
        pause_s: float = _PAUSE_S,
    ) -> None:
        self._urls = urls
        self._problem = problem
        self._pause_s = pause_s
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, change: StateChange) -> None:
        """Send a change to all URLs."""
        for url, form in self._urls.items():
            if len(self._tasks) >= _MAX_PENDING:
                self._problem("a webhook was dropped: 100 are already waiting")
                return
            task = asyncio.get_running_loop().create_task(self._send(url, form(change)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all pending messages have been sent."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_ATTEMPTS * (_TIMEOUT_S + self._pause_s))

    async def _send(self, url: str, body: dict[str, object]) -> None:
        reason = ""
        for attempt in range(_ATTEMPTS):
            if attempt:
                await asyncio.sleep(self._pause_s * attempt)
            reason = await asyncio.to_thread(_post, url, body)
            if not reason:
                return
        parts = urlsplit(url)
        self._problem(f"the webhook {parts.scheme}://{parts.hostname} failed: {reason}")


def _post(url: str, body: dict[str, object]) -> str:
    """Send one message; return the reason for a failure, or an empty string."""
    data = json.dumps(body).encode()
    try:
        request = urllib.request.Request(  # noqa: S310 (the URL is from the configuration)
            url, data, {"Content-Type": "application/json", "User-Agent": "undam-monitor"}
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:  # noqa: S310
            response.read(1024)
    except urllib.error.HTTPError as error:
        return f"status {error.code}"
    except (OSError, ValueError) as error:
        return type(error).__name__
    return ""
