"""Read event streams without buffering, with any HTTP client.

This package imports no HTTP library. ``chat`` and ``achat`` use httpx (extra ``client``).
"""

from __future__ import annotations

from undam.client.achat import AsyncChat, achat
from undam.client.chat import Chat, chat
from undam.client.chat_request import ChatOptions, Messages
from undam.client.deltas import Delta, Finish, Reasoning, Text, ToolCall, Usage
from undam.client.reading import AsyncEvents, Events, aevents, events
from undam.client.responses import astream, stream
from undam.client.timing import Timing
from undam.client.tolerant import tolerant
from undam.errors import (
    AnswerError,
    IdleTimeout,
    IncompleteStream,
    MalformedStream,
    StreamError,
    TtftTimeout,
)
from undam.sse import Comment, Event

__all__ = [
    "AnswerError",
    "AsyncChat",
    "AsyncEvents",
    "Chat",
    "ChatOptions",
    "Comment",
    "Delta",
    "Event",
    "Events",
    "Finish",
    "IdleTimeout",
    "IncompleteStream",
    "MalformedStream",
    "Messages",
    "Reasoning",
    "StreamError",
    "Text",
    "Timing",
    "ToolCall",
    "TtftTimeout",
    "Usage",
    "achat",
    "aevents",
    "astream",
    "chat",
    "events",
    "stream",
    "tolerant",
]
