"""ASGI 3 types, and the possible reasons for the end of a stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Literal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Reason = Literal["complete", "client-left", "error", "send-timeout", "shutdown", "stopped"]
"""Reason why a stream ended.

complete      the source ended, and all of its events were passed to the server
client-left   the client closed the connection first
error         the source raised an exception
send-timeout  the client read nothing for ``send_timeout`` seconds
shutdown      the server is stopping, or ``end_streams`` was called
stopped       the answer was stopped on request (`undam.asgi.Answers.stop`)
"""

OUTCOME = "undam.outcome"
"""Key of the `StreamOutcome` in an ASGI scope."""


@dataclass(slots=True)
class StreamOutcome:
    """Outcome of a request's event stream, for use by middleware around the response.

    An outer layer puts it into the scope, and the stream fills it in. The layers between them may
    hide an exception: Starlette's BaseHTTPMiddleware ends the response cleanly first.

    Attributes:
        reason: reason why the stream ended; ``None`` while it runs, and if there is none.
        error: exception of the source, if it failed.
    """

    reason: Reason | None = None
    error: BaseException | None = None


def outcome_in(scope: Scope) -> StreamOutcome:
    """Return the stream outcome in ``scope``; it is added if missing."""
    outcome: StreamOutcome = scope.setdefault(OUTCOME, StreamOutcome())
    return outcome
