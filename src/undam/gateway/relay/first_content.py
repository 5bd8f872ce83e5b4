"""Detects the first content of a stream; only the events up to it are interpreted.

Three methods of increasing cost apply:

1. `FirstContentDetector.looks_like_content` searches for a content field. A hit means that the read
   is forwarded at once, and parsed afterwards.
2. `_CHAT_CHUNK` matches one chat chunk in the form that common servers send, so that its JSON need
   not be parsed (45 µs with cold CPU caches).
3. The SSE parser and `Api.read` handle everything else.
"""

from __future__ import annotations

import re

from undam.apis import CHAT, Api, Kind
from undam.errors import RemoteProtocolError
from undam.sse import Comment, Parser

# A non-empty content field of any API. Inside a JSON string the quotes are escaped, so only a key
# of a nested object could match by mistake. That is more likely in large events.
_CONTENT_FIELD = re.compile(
    rb'"(?:content|text|delta|thinking|reasoning|reasoning_content|refusal|arguments|partial_json)"'
    rb': ?"[^"]'
)
_MAX_SHORT_BYTES = 1024

# The grammar below accepts one event with one chat chunk with one choice, for instance
#
#   data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},
#          "logprobs":null,"finish_reason":null}]}
#
# It rejects what could mean something else: a key that counts and occurs twice, another field of
# the delta with text in it, an error, a finish reason, more than one choice, nested objects.
# tests/gateway/relay/test_first_content.py compares it with the JSON parser.
_STRING = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"'
_NUMBER = rb"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,9})?"
# A member of the chunk or of the choice that has no effect on the meaning.
_OTHER_MEMBER = rb"""(?:"(?!(?:choices|delta|text|error|finish_reason)")[a-z_]+":[ ]?
                        (?:%b|%b|true|false|null)
                    |"(?:error|finish_reason)":[ ]?null)""" % (_STRING, _NUMBER)
# A member of the delta. The group `content` matches only text that is not empty.
_DELTA_MEMBER = rb"""(?:"role":[ ]?%b
                    |"content":[ ]?(?:""|null|(?P<content>%b)(?!.*"content"))
                    |"(?!(?:role|content)")[a-z_]+":[ ]?(?:""|null))""" % (_STRING, _STRING)
_CHAT_CHUNK = re.compile(
    rb"""data:[ ]?\{(?:%b,[ ]?)*"choices":[ ]?\[\{(?:%b,[ ]?)*
         "delta":[ ]?\{(?:%b(?:,[ ]?(?=")|(?=\})))*\}
         (?:,[ ]?%b)*\}\](?:,[ ]?%b)*\}\n\n"""
    % (_OTHER_MEMBER, _OTHER_MEMBER, _DELTA_MEMBER, _OTHER_MEMBER, _OTHER_MEMBER),
    re.VERBOSE,
)

# Events after which content may still follow.
_UNDECIDED = frozenset({Kind.EMPTY, Kind.HEARTBEAT, Kind.USAGE})


class FirstContentDetector:
    """Reads the event stream of one upstream until it is decided.

    Attributes:
        decided: content, an error, an end or something unreadable has arrived, so no other upstream
            may be tried any more.
        content: it was content.
        comments: number of comments so far.
    """

    __slots__ = ("_carry", "_parser", "_read", "_try_pattern", "comments", "content", "decided")

    def __init__(self, api: Api) -> None:
        # The pattern applies until the first event that only the parser can read.
        self._parser: Parser | None = None
        self._try_pattern = api is CHAT
        self._carry = b""
        self._read = api.read
        self.decided = False
        self.content = False
        self.comments = 0

    def looks_like_content(self, data: bytes) -> bool:
        """Return whether ``data`` seems to contain content.

        Parsing an event may take half as long as everything else until its bytes are sent. If the
        result is wrong, the only consequence is that no other upstream is tried.
        """
        return len(data) < _MAX_SHORT_BYTES and _CONTENT_FIELD.search(data) is not None

    def take(self, data: bytes) -> bool:
        """Read more of the stream; return `decided`."""
        if self._parser is None:
            if (
                self._try_pattern
                and len(data) < _MAX_SHORT_BYTES
                and (chunk := _CHAT_CHUNK.fullmatch(data))
            ):
                self._carry = b"\n"  # A byte order mark is only valid before the first event.
                self.decided = self.content = chunk["content"] is not None
                return self.decided
            self._parser = Parser()
            data = self._carry + data
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
            if kind not in _UNDECIDED:
                self.decided = True
                self.content = kind is Kind.CONTENT
                break
        return self.decided


def has_announced_end(api: Api, tail: bytes) -> bool:
    """Return whether the last events report that the response is complete, or that it failed.

    Args:
        tail: the last bytes of the stream, from an arbitrary byte on.
    """
    # JSON has no raw line ends, so at the beginning of a line this cannot be part of a payload.
    if tail.rstrip().endswith(b"\ndata: [DONE]"):
        return True
    # The first event may be incomplete; the parser then ignores it or reads it as another field.
    try:
        items = Parser().receive_data(tail)
    except RemoteProtocolError:
        return True
    meanings = (api.read(item.event, item.data) for item in items if not isinstance(item, Comment))
    return any(meaning.ends or meaning.kind is Kind.ERROR for meaning in meanings)
