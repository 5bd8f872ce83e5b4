"""Detection of the first content of a stream. Later events are not interpreted.

There are three methods, of increasing cost:

1. `FirstContentDetector.looks_like_content` searches for a content field. If there is a match, the
   read is forwarded immediately and parsed afterwards.
2. `_CHAT_CHUNK` matches a chat chunk in the form that common servers send. This avoids parsing its
   JSON, which takes 45 µs with cold CPU caches.
3. The SSE parser and `Api.read` handle all other data.
"""

from __future__ import annotations

import re

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api, Kind
from undam.apis.meaning import error_status, mapping, text
from undam.errors import RemoteProtocolError
from undam.sse import Comment, Parser

# A non-empty content field of any API. Quotes are escaped inside JSON strings, so only a key of a
# nested object can cause a false match. Nested objects are more likely in large events.
_CONTENT_FIELD = re.compile(
    rb'"(?:content|text|delta|thinking|reasoning|reasoning_content|refusal|arguments|partial_json)"'
    rb': ?"[^"]'
)
_MAX_SHORT_BYTES = 1024

# The grammar below accepts one event that contains one chat chunk with one choice, for instance
#
#   data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":"Hi"},
#          "logprobs":null,"finish_reason":null}]}
#
# It rejects everything that could have another meaning: relevant keys that occur twice, other delta
# fields with text, an error, a finish reason, more than one choice, and nested objects.
# tests/gateway/relay/test_first_content.py compares it with the JSON parser.
_STRING = rb'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9A-Fa-f]{4}))*"'
_NUMBER = rb"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,9})?"
# Grammar for a member of the chunk or of the choice that does not affect the meaning.
_OTHER_MEMBER = rb"""(?:"(?!(?:choices|delta|text|error|finish_reason)")[a-z_]+":[ ]?
                        (?:%b|%b|true|false|null)
                    |"(?:error|finish_reason)":[ ]?null)""" % (_STRING, _NUMBER)
# Grammar for a member of the delta. The group `content` matches only non-empty text.
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

# Start of the last event of a response. The event contains the whole response and may be long.
_RESPONSE_END = re.compile(
    rb'(?:\A|\n)(?:event: ?|data: ?\{"type": ?")response\.(?:completed|incomplete|failed)\b'
)

_CHUNK_KEYS = frozenset({"choices", "object", "usage"})
_MESSAGE_EVENTS = frozenset(
    {"message_start", "message_delta", "content_block_start", "content_block_delta",
     "content_block_stop"}
)  # fmt: skip

# Events after which content may still follow.
_UNDECIDED = frozenset({Kind.EMPTY, Kind.HEARTBEAT, Kind.USAGE})


class FirstContentDetector:
    """Detector of the first content in the event stream from one upstream.

    Attributes:
        decided: content, an error, an end or unreadable data has arrived, so no other upstream may
            be tried.
        content: the stream was decided by content.
        error_status: status that the error stands for by which the stream was decided; 0 if it was
            not decided by an error.
        comments: number of comments received so far.
    """

    __slots__ = (
        "_api", "_carry", "_parser", "_read", "_try_pattern", "comments", "content", "decided",
        "error_status",
    )  # fmt: skip

    def __init__(self, api: Api) -> None:
        # The pattern is used until the first event that only the parser can read.
        self._parser: Parser | None = None
        self._try_pattern = api is CHAT
        self._carry = b""
        self._api = api
        self._read = api.read
        self.decided = False
        self.content = False
        self.comments = 0
        self.error_status = 0

    def looks_like_content(self, data: bytes) -> bool:
        """Return whether ``data`` seems to contain content.

        Parsing could add half of the time that all other work takes before the event is sent. A
        wrong result only means that no other upstream is tried.
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
                self._carry = b"\n"  # A byte order mark is valid only before the first event.
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
            meaning = self._read(item.event, item.data)
            if meaning.kind is Kind.EMPTY and _is_foreign(self._api, meaning.payload):
                self.decided = self.content = True
                break
            if meaning.kind not in _UNDECIDED:
                self.decided = True
                self.content = meaning.kind is Kind.CONTENT
                if meaning.kind is Kind.ERROR:
                    self.error_status = error_status(meaning.payload)
                break
        return self.decided


def _is_foreign(api: Api, payload: object) -> bool:
    """Return whether an event does not have the form of the API that the path suggests.

    Applications use paths such as ``/messages`` for streams of their own. Their events must not
    wait for content of an API that they do not implement.
    """
    event = mapping(payload)
    if api is CHAT or api is COMPLETIONS:
        return event.keys().isdisjoint(_CHUNK_KEYS)
    if api is MESSAGES:
        return text(event.get("type")) not in _MESSAGE_EVENTS
    return api is RESPONSES and not text(event.get("type"))


def has_announced_end(api: Api, tail: bytes) -> bool:
    """Return whether the last events report that the response is complete or failed.

    Args:
        tail: the last bytes of the stream; they may begin within an event.
    """
    # JSON contains no raw line breaks, so this text at the start of a line is not part of a
    # payload.
    if tail.rstrip().endswith(b"\ndata: [DONE]"):
        return True
    if api is RESPONSES and _RESPONSE_END.search(tail):
        return True
    # The first event may be incomplete. The parser then ignores it or parses it as another field.
    try:
        items = Parser().receive_data(tail)
    except RemoteProtocolError:
        return True
    meanings = (api.read(item.event, item.data) for item in items if not isinstance(item, Comment))
    return any(meaning.ends or meaning.kind is Kind.ERROR for meaning in meanings)
