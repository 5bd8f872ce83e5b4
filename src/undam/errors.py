"""Exception tree. The name of each class states which side caused the error.

UndamError
├── ProtocolError            bytes violate a protocol
│   ├── LocalProtocolError   this program was about to send them
│   └── RemoteProtocolError  the peer sent them
├── NetworkError             the peer is unreachable or disconnected; see `phase`
├── ResponseError            the response is not a stream
│   └── RedirectError        a redirect that is not followed; see `location`
├── AnswerError              the answer is not complete; see `text`
│   ├── IncompleteStream     the stream ended without its end marker
│   ├── StreamError          the server sent an error event
│   ├── MalformedStream      an event cannot be parsed
│   ├── IdleTimeout          no byte arrived within the time limit
│   └── TtftTimeout          no content arrived within the time limit
├── ConfigSyntaxError        a configuration cannot be parsed; see `path`, `line`, `column`
├── MissingExtra             an optional dependency is not installed
└── UsageError               invalid argument, option or input file

Packages define further classes for errors that only they raise: asgi (StreamBroken), lab (Missing).
"""

from __future__ import annotations

from typing import Literal

Phase = Literal["dns", "connect", "proxy", "tls", "send", "headers", "body"]


class UndamError(Exception):
    """Base class. The message is one line that states what happened and what to do."""


class ProtocolError(UndamError):
    """The bytes violate a protocol."""


class LocalProtocolError(ProtocolError):
    """undam was about to send something that the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something that the protocol forbids, or exceeded a limit."""


class NetworkError(UndamError):
    """The peer could not be reached, or the connection failed in ``phase``."""

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message)
        self.phase: Phase = phase


class ResponseError(UndamError):
    """The response is an error or a page instead of a stream; the message quotes it.

    Args:
        status: HTTP status of an error.
        retry_after_s: time after which the server permits another request, if it names one.
    """

    def __init__(
        self, message: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s


class RedirectError(ResponseError):
    """The response is a redirect to ``location`` that is not followed without permission."""

    def __init__(self, message: str, *, location: str) -> None:
        super().__init__(message)
        self.location = location


class AnswerError(UndamError):
    """The answer is incomplete.

    Args:
        text: the part of the answer that arrived.
        reasoning: the part of the model's reasoning that arrived.
    """

    def __init__(self, message: str, *, text: str = "", reasoning: str = "") -> None:
        super().__init__(message)
        self.text = text
        self.reasoning = reasoning


class IncompleteStream(AnswerError):
    """The stream ended without its end marker."""


class StreamError(AnswerError):
    """The server sent an error event; the message is the server's."""


class MalformedStream(AnswerError):
    """An event is too large, or its data does not conform to the API."""


class IdleTimeout(AnswerError):
    """Nothing arrived within the time limit, not even a heartbeat."""


class TtftTimeout(AnswerError):
    """No content arrived within the time limit."""


class ConfigSyntaxError(UndamError):
    """The configuration cannot be parsed at ``path``, ``line``, ``column`` (counted from 1)."""

    def __init__(self, message: str, *, path: str, line: int, column: int) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path = path
        self.line = line
        self.column = column


class MissingExtra(UndamError):
    """An optional dependency is not installed; the message names the extra to install."""


class UsageError(UndamError):
    """An argument, option or file is invalid; the message names it and the reason."""
