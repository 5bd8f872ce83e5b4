"""Every exception undam raises on purpose. Who is at fault is the first question a name answers.

UndamError
├── ProtocolError            the bytes are not what the protocol allows
│   ├── LocalProtocolError   and it was this program that would have sent them
│   └── RemoteProtocolError  and it was the peer that sent them
├── NetworkError             the peer could not be reached, or stopped; `phase` says where
├── ResponseError            the server answered, but not with a stream
├── ConfigSyntaxError        a configuration cannot be read; `path`, `line`, `column` say where
└── UsageError               what the user asked for makes no sense
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


class ConfigSyntaxError(UndamError):
    """A configuration file that cannot be read, at ``path``, ``line``, ``column`` (from 1)."""

    def __init__(self, message: str, *, path: str, line: int, column: int) -> None:
        super().__init__(f"{path}:{line}:{column}: {message}")
        self.path = path
        self.line = line
        self.column = column


class UsageError(UndamError):
    """An argument, option or file that cannot be used; says which and why."""
