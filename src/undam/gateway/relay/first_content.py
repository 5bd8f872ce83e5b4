"""The beginning of a stream, up to its first content: the only events whose meaning is read."""

from __future__ import annotations

import re

from undam.apis import CHAT, Api, Kind
from undam.errors import RemoteProtocolError
from undam.sse import Comment, Parser

# What an event with content holds, whichever API speaks. Text within a text has its quotes escaped,
# so only the names of a deeper object could be taken for these; large events may hold such.
_CONTENT = re.compile(
    rb'"(?:content|text|delta|thinking|reasoning|reasoning_content|refusal|arguments|partial_json)"'
    rb': ?"[^"]'
)
_SHORT = 1024

# One event that is one chunk of chat completions in the words that servers use, with one choice
# that says nothing but a role and content. What it means is then known without its JSON being read,
# which takes 45 us, in place. No name that counts may stand in it twice.
_TEXT = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"'
_NUMBER = rb"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,9})?"
_BESIDE = rb"""(?:"(?!(?:choices|delta|text|error|finish_reason)")[a-z_]+":[ ]?
                  (?:%b|%b|true|false|null)
              |"(?:error|finish_reason)":[ ]?null)""" % (_TEXT, _NUMBER)
_DELTA = rb"""(?:"role":[ ]?%b
             |"content":[ ]?(?:""|null|(?P<said>%b)(?!.*"content"))
             |"(?!(?:role|content)")[a-z_]+":[ ]?(?:""|null))""" % (_TEXT, _TEXT)
_CHUNK = re.compile(
    rb"""data:[ ]?\{(?:%b,[ ]?)*"choices":[ ]?\[\{(?:%b,[ ]?)*
         "delta":[ ]?\{(?:%b(?:,[ ]?(?=")|(?=\})))*\}
         (?:,[ ]?%b)*\}\](?:,[ ]?%b)*\}\n\n"""
    % (_BESIDE, _BESIDE, _DELTA, _BESIDE, _BESIDE),
    re.VERBOSE,
)

# What is neither content nor a sign that none will follow.
_NOTHING_YET = frozenset({Kind.EMPTY, Kind.HEARTBEAT, Kind.USAGE})


class FirstContentDetector:
    """Watches one upstream's event stream until it is decided.

    Attributes:
        decided: content came, or an error, an end or something unreadable: no other upstream
            may be asked any more.
        content: it was content.
        comments: comments seen so far.
    """

    __slots__ = ("_before", "_chunks", "_parser", "_read", "comments", "content", "decided")

    def __init__(self, api: Api) -> None:
        # From the first event on that only the parser can read, all go through it.
        self._parser: Parser | None = None
        self._chunks = api is CHAT
        self._before = b""
        self._read = api.read
        self.decided = False
        self.content = False
        self.comments = 0

    def looks_like_content(self, data: bytes) -> bool:
        """Whether the next read brings content at a glance; if not, `take` must tell.

        Reading an event may take half as long as all else until its bytes leave. Where the glance
        is wrong, no other upstream is asked any more, and nothing else happens.
        """
        return len(data) < _SHORT and _CONTENT.search(data) is not None

    def take(self, data: bytes) -> bool:
        """Read on; returns `decided`."""
        if self._parser is None:
            if self._chunks and len(data) < _SHORT and (chunk := _CHUNK.fullmatch(data)):
                self._before = b"\n"  # No byte order mark may follow.
                self.decided = self.content = chunk["said"] is not None
                return self.decided
            self._parser = Parser()
            data = self._before + data
        try:
            items = self._parser.receive_data(data)
        except RemoteProtocolError:
            self.decided = True
            return True
        for item in items:
            if isinstance(item, Comment):
                self.comments += 1
                continue
            kind = self._read(item.event, item.data).kind
            if kind not in _NOTHING_YET:
                self.decided = True
                self.content = kind is Kind.CONTENT
                break
        return self.decided


def is_announced_end(api: Api, tail: bytes) -> bool:
    """Whether one of the last events, of which ``tail`` holds the bytes from some point on, says
    that the answer is complete, or that it failed: either way nothing was cut off in silence."""
    # JSON holds no line end, so at the beginning of a line this is no part of an answer.
    if tail.rstrip().endswith(b"\ndata: [DONE]"):
        return True
    # Whatever stands before the first line end may be the second half of an event.
    try:
        items = Parser().receive_data(tail)
    except RemoteProtocolError:
        return True
    meanings = (api.read(item.event, item.data) for item in items if not isinstance(item, Comment))
    return any(meaning.ends or meaning.kind is Kind.ERROR for meaning in meanings)
