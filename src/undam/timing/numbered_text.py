"""Beacon stamps in the text of an answer, for paths that preserve nothing but the text.

An application that builds its own request to the model drops the header of `undam.timing.beacon`,
and one that parses the answer drops its extra JSON field. Both pass on the prompt and the text.

The query is therefore also accepted as ``undam-beacon[QUERY]`` anywhere in the request body, and
the answer to a ``numbered`` schedule consists of pieces such as

    ``[u7/120.18a3f2c4d5e6f708.3fa2:漢字とかな:9abcdef0]``

A piece contains its number, the number of pieces, its due time in ns (hexadecimal), a tag of the
answer, a text with multi-byte characters, and a checksum. A lost, repeated, reordered or altered
piece is detected however the pieces are divided into events, and whatever a hop adds between
them. The answer to ``clock`` is the text

    ``[clock ARRIVED.LEFT.HOST]``
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from undam.errors import RemoteProtocolError
from undam.timing.beacon import BeaconQuery, BeaconSchedule, parse_query

WORD = "undam-beacon"
"""The word that marks a query in a request body; alone, it requests the numbered schedule."""

NUMBERED = BeaconQuery("schedule", "", BeaconSchedule(numbered=1))
"""The query that the bare word stands for."""

# Characters of two to four bytes, joined and combining characters, and a line separator that some
# readers treat as a line end. None of them needs escaping in JSON or ends an event.
TEXTS = (
    "plain",
    "漢字とかな",
    "한국어",
    "👩\u200d👩\u200d👧\u200d👦",
    "e\u0301e\u0302",
    "हिन्दी",
    "a\u2028b",
    "🇩🇪🇯🇵",
    "עברית",
    "Größe",
)

_PIECE = re.compile(
    r"\[u(?P<stamp>(?P<seq>\d{1,6})/(?P<total>\d{1,6})\."
    r"(?P<due>[0-9a-f]{16})\.(?P<answer>[0-9a-f]{4}))"
    r":(?P<text>[^\[\]]{0,80}):(?P<sum>[0-9a-f]{8})\]"
)
_BEGINNING = re.compile(r"\[u\d{1,6}/")
_CLOCK = re.compile(
    r"\[clock (?P<arrived>[0-9a-f]{16})\.(?P<left>[0-9a-f]{16})\.(?P<host>[A-Za-z0-9_-]{1,64})\]"
)
_QUERY = re.compile(rb"undam-beacon(?:\[([^\]\r\n\"\\]{0,400})\])?")


@dataclass(frozen=True, slots=True)
class NumberedPiece:
    """A piece of a numbered answer, as received.

    Args:
        end: position of its end in the text of the answer.
        text: its text, which may be damaged.
        whole: the checksum agrees with the rest of the piece.
    """

    end: int
    text: str
    seq: int
    total: int
    due_ns: int
    answer: str
    whole: bool


def encode_piece(seq: int, total: int, due_ns: int, answer: str) -> str:
    """Return piece ``seq`` of ``total``; ``answer`` is the result of `answer_tag`."""
    text = TEXTS[seq % len(TEXTS)]
    stamp = f"{seq}/{total}.{due_ns:016x}.{answer}"
    return f"[u{stamp}:{text}:{_checksum(stamp, text)}]"


def is_divided(seq: int) -> bool:
    """Return whether a beacon sends the event for piece ``seq`` in two writes.

    Undivided events show that whole characters arrive intact. U+2028 alone does not count, because
    it may be escaped in JSON.
    """
    text = TEXTS[seq % len(TEXTS)].replace("\u2028", "")
    return seq % 3 == 0 and not text.isascii()


def answer_tag(exchange_id: str) -> str:
    """Return the tag that all pieces of one answer contain."""
    return f"{zlib.crc32(exchange_id.encode()) & 0xFFFF:04x}"


def encode_clock(arrived_ns: int, left_ns: int, host: str) -> str:
    """Return the answer to a clock query, as text."""
    return f"[clock {arrived_ns:016x}.{left_ns:016x}.{host}]"


def parse_clock(text: str) -> tuple[int, int, str] | None:
    """Return the arrival time, the departure time and the host from a clock answer."""
    match = _CLOCK.search(text)
    return match and (int(match["arrived"], 16), int(match["left"], 16), match["host"])


def pieces_in(text: str) -> Iterator[NumberedPiece]:
    """Yield the pieces in an answer's text, in order of arrival."""
    for match in _PIECE.finditer(text):
        yield NumberedPiece(
            match.end(),
            match["text"],
            int(match["seq"]),
            int(match["total"]),
            int(match["due"], 16),
            match["answer"],
            _checksum(match["stamp"], match["text"]) == match["sum"],
        )


def fragments_in(text: str) -> int:
    """Return the number of pieces in a text that are too incomplete to be read."""
    return len(_BEGINNING.findall(_PIECE.sub("", text)))


def format_word(query: str) -> str:
    """Return a word with ``query`` (the beacon header's value), to be placed in a request body."""
    return f"{WORD}[{query}]"


def query_in_body(body: bytes) -> BeaconQuery | None:
    """Return the last query in a request body; earlier queries may come from the chat history.

    Raises:
        RemoteProtocolError: the query is unknown or malformed.
    """
    if WORD.encode() not in body:
        return None
    *_, match = _QUERY.finditer(body)
    if match[1] is None:
        return NUMBERED
    try:
        return parse_query(match[1].decode("ascii"))
    except UnicodeDecodeError:
        raise RemoteProtocolError(f"{WORD}: the query is not ASCII") from None


def _checksum(stamp: str, text: str) -> str:
    # A lone surrogate is never sent; if one is received, the text was altered.
    return f"{zlib.crc32(f'{stamp}:{text}'.encode('utf-8', 'surrogatepass')):08x}"
