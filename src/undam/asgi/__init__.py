"""Serve a stream that cannot be held back: plain ASGI, no dependency."""

from undam.asgi.beacon import Beacon
from undam.asgi.guard.stream_guard import StreamGuard
from undam.asgi.interface import Reason
from undam.asgi.replay.interface import Replay, ReplayGap, ReplayOver, SourceFailed, SourceLost
from undam.asgi.replay.memory import Memory
from undam.asgi.response.event_stream import EventStream
from undam.asgi.response.openai_answer import Finish, OpenAIAnswer, Usage
from undam.asgi.response.stream import StreamBroken
from undam.asgi.response.stream_timer import end_streams

__all__ = [
    "Beacon",
    "EventStream",
    "Finish",
    "Memory",
    "OpenAIAnswer",
    "Reason",
    "Replay",
    "ReplayGap",
    "ReplayOver",
    "SourceFailed",
    "SourceLost",
    "StreamBroken",
    "StreamGuard",
    "Usage",
    "end_streams",
]
