"""Unbuffered event streams for ASGI applications, without dependencies."""

import warnings
from typing import Any

from undam.asgi.answers.answer import Answer
from undam.asgi.answers.answers import Answers, AnswerStatus
from undam.asgi.beacon import Beacon
from undam.asgi.guard.stream_guard import StreamGuard
from undam.asgi.interface import Reason
from undam.asgi.passthrough.relay import relay
from undam.asgi.replay.interface import (
    AnswerStopped,
    AnswerStore,
    Replay,
    ReplayGap,
    ReplayOver,
    SourceFailed,
    SourceLost,
)
from undam.asgi.replay.memory import MemoryReplay
from undam.asgi.response.defaults import set_defaults
from undam.asgi.response.event_stream import EventStream
from undam.asgi.response.items import Item, Raw, Source
from undam.asgi.response.open_streams import end_streams
from undam.asgi.response.openai_answer import Finish, OpenAIAnswer, Usage
from undam.asgi.response.refusal import UpstreamRefused
from undam.asgi.response.streamed_response import StreamBroken
from undam.asgi.response.ui_streams import AgUiRun, UIMessageAnswer
from undam.sse import Comment, Event, ReconnectHint

__all__ = [
    "AgUiRun",
    "Answer",
    "AnswerStatus",
    "AnswerStopped",
    "AnswerStore",
    "Answers",
    "Beacon",
    "Comment",
    "Event",
    "EventStream",
    "Finish",
    "Item",
    "MemoryReplay",
    "OpenAIAnswer",
    "Raw",
    "Reason",
    "ReconnectHint",
    "Replay",
    "ReplayGap",
    "ReplayOver",
    "Source",
    "SourceFailed",
    "SourceLost",
    "StreamBroken",
    "StreamGuard",
    "UIMessageAnswer",
    "UpstreamRefused",
    "Usage",
    "end_streams",
    "relay",
    "set_defaults",
]


def __getattr__(name: str) -> Any:
    if name == "Memory":
        message = "undam.asgi.Memory is deprecated; use undam.asgi.MemoryReplay"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return MemoryReplay
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
