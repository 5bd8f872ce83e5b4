"""Serve a stream that cannot be held back: plain ASGI, no dependency."""

from undam.asgi.answer import Finish, OpenAIAnswer, Usage
from undam.asgi.beacon import Beacon
from undam.asgi.event_stream import EventStream
from undam.asgi.guard import StreamGuard
from undam.asgi.heart import end_streams
from undam.asgi.interface import Reason
from undam.asgi.replay import Memory
from undam.asgi.replaying import Replay, ReplayGap, ReplayOver, SourceFailed, SourceLost
from undam.asgi.stream import StreamBroken

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
