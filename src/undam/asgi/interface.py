"""The types of ASGI 3 that this room speaks, named as everyone names them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Literal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

Reason = Literal["complete", "client-left", "error", "send-timeout", "shutdown"]
"""Why a stream ended.

complete      the source ended, and everything it gave was handed to the server
client-left   the client closed the connection first
error         the source raised
send-timeout  the client took nothing for ``send_timeout`` seconds
shutdown      the server stops, or ``end_streams`` was called
"""
