"""Types of ASGI 3, and the reasons why a stream ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Reason = Literal["complete", "client-left", "error", "send-timeout", "shutdown"]
"""Reason why a stream ended.

complete      the source ended, and all of its events were passed to the server
client-left   the client closed the connection first
error         the source raised an exception
send-timeout  the client read nothing for ``send_timeout`` seconds
shutdown      the server is stopping, or ``end_streams`` was called
"""
