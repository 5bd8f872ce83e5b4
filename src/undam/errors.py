"""Every exception undam raises on purpose. Who is at fault is the first question a name answers.

UndamError
├── ProtocolError            the bytes are not what the protocol allows
│   ├── LocalProtocolError   and it was this program that would have sent them
│   └── RemoteProtocolError  and it was the peer that sent them
├── NetworkError             the peer could not be reached, or stopped; `phase` says where
├── ResponseError            the server answered, but not with a stream
├── AnswerError              an answer did not come whole; `text` is what of it arrived
│   ├── IncompleteStream     it ended without saying that it is complete
│   ├── StreamError          the server told an error inside the stream
│   ├── MalformedStream      an event of it cannot be read
│   ├── IdleTimeout          no byte came for the time allowed
│   └── TtftTimeout          no content came within the time allowed
├── ConfigSyntaxError        a configuration cannot be read; `path`, `line`, `column` say where
└── UsageError               what the user asked for makes no sense

A room whose failures concern nobody else derives them there: asgi (StreamBroken), lab (Missing).
"""

from __future__ import annotations

from typing import Literal

Phase = Literal["dns", "connect", "proxy", "tls", "send", "headers", "body"]


class UndamError(Exception):
    """Base of all; its text is one line that says what happened and what to do."""


class ProtocolError(UndamError):
    """Bytes that break a protocol's rules."""


class LocalProtocolError(ProtocolError):
    """This program was about to send something the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol forbids, or more than the stated bound."""


class NetworkError(UndamError):
    """The peer could not be reached, or the conversation broke off in ``phase``."""

    def __init__(self, message: str, *, phase: Phase) -> None:
        super().__init__(message)
        self.phase: Phase = phase


class ResponseError(UndamError):
    """The server's answer is a refusal or a page, not a stream; says what it said."""


class AnswerError(UndamError):
    """An answer broke off.

    Args:
        text: what had arrived of it; "" for nothing.
        reasoning: what had arrived of the model's reasoning.
    """

    def __init__(self, message: str, *, text: str = "", reasoning: str = "") -> None:
        super().__init__(message)
        self.text = text
        self.reasoning = reasoning


class IncompleteStream(AnswerError):
    """The stream ended, in good order or not, before it said that the answer is complete."""


class StreamError(AnswerError):
    """The server told an error inside the stream; the message is the server's."""


class MalformedStream(AnswerError):
    """An event is larger than its bound, or its data is not what the API sends."""


class IdleTimeout(AnswerError):
    """No byte came for the time allowed, not even a heartbeat."""


class TtftTimeout(AnswerError):
    """No content came within the time allowed, whatever else did."""


class ConfigSyntaxError(UndamError):
    """A configuration file that cannot be read, at ``path``, ``line``, ``column`` (from 1)."""

    def __init__(self, message: str, *, path: str, line: int, column: int) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path = path
        self.line = line
        self.column = column


class UsageError(UndamError):
    """An argument, option or file that cannot be used; says which and why."""
