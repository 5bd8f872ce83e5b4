"""Content check for one response: event numbers and damaged characters. No I/O.

Almost all responses are intact, so the check is prepared for the fast path: numbers are taken from
the match of a template, and texts are kept only after something suspicious was received.
"""

from __future__ import annotations

import re
from codecs import utf_8_decode

from undam.apis import Kind, Meaning
from undam.apis.meaning import mapping
from undam.diagnosis.numbering import (
    REPLACEMENT,
    TORN,
    AnswerIntegrity,
    count_gaps,
    count_ids,
    count_numbers,
    count_pieces,
    find_torn,
    join_texts,
)
from undam.record.request_result import IntegrityCounts
from undam.timing.numbered_text import fragments_in, pieces_in

NUMBER_KEY = re.compile(rb'"(?:sequence_number|undam"\s*:\s*\{\s*"seq)"\s*:\s*\Z')
"""End of the JSON before the number of an event."""

_PIECE = re.compile(rb"\[u\d{1,6}/")
_PIECE_TEXT = re.compile(r"\[u\d{1,6}/")
# A UTF-8 character has at most three bytes after its first byte.
_MOST_CONTINUATION_BYTES = 3


class ContentCheck:
    """Collector of evidence for content faults, fed while the events of a response are counted.

    Attributes:
        is_collecting: whether texts are kept, so that each event has to be parsed.
        is_utf8: whether the text is encoded in UTF-8, so that a damaged character is a fault.
        numbers: numbers of the events from the API.
        stamps: numbers of the events from a beacon.
    """

    __slots__ = ("_ids", "_texts", "is_collecting", "is_utf8", "numbers", "stamps")

    def __init__(self, *, is_utf8: bool = True) -> None:
        self.is_collecting = False
        self.is_utf8 = is_utf8
        self.numbers: list[int] = []
        self.stamps: list[int] = []
        self._ids: list[tuple[str, object]] = []
        self._texts: list[str] = []

    def inspect(self, data: bytes) -> None:
        """Begin to keep texts if ``data`` has a damaged character or part of a numbered text."""
        if self.is_collecting:
            return
        if data.isascii():
            self.is_collecting = b"[u" in data and _PIECE.search(data) is not None
            return
        begin = 0
        while begin < _MOST_CONTINUATION_BYTES and data[begin : begin + 1] in _CONTINUATION:
            begin += 1
        try:
            text = utf_8_decode(data[begin:], "strict", False)[0]
        except UnicodeDecodeError:
            self.is_collecting = True
            return
        self.is_collecting = REPLACEMENT in text or (
            "[u" in text and _PIECE_TEXT.search(text) is not None
        )

    def add(self, meaning: Meaning, ident: str) -> None:
        """Add a parsed event and its ID."""
        payload = mapping(meaning.payload)
        stamp = mapping(payload.get("undam")).get("seq")
        number = payload.get("sequence_number")
        if type(stamp) is int:
            self.stamps.append(stamp)
        elif type(number) is int:
            self.numbers.append(number)
        elif ident:
            self._ids.append((ident, meaning.text))
        if meaning.kind is Kind.CONTENT:
            text = meaning.text
            if not self.is_collecting and not text.isascii() and TORN.search(text):
                self.is_collecting = True
            if self.is_collecting:
                self._texts.append(text)

    def finish(self, *, is_cut: bool) -> IntegrityCounts | None:
        """Return the faults, or ``None`` if there are none and the events are not numbered.

        Args:
            is_cut: whether the response is incomplete, which is a separate failure.
        """
        found = self._from_numbers()
        if self._texts:
            text = join_texts(self._texts)
            if pieces := list(pieces_in(text)):
                return _counts(count_pieces(pieces, fragments_in(text), cut=is_cut))
            # The text before the first damaged character was not kept. A quotation mark stands for
            # it.
            count, near = find_torn(f'"{text}') if self.is_utf8 else (0, "")
            if count:
                counts = IntegrityCounts("events") if found is None else _counts(found)
                return counts._replace(torn=count, first=(*counts.first, ("torn", near)))
        return None if found is None else _counts(found)

    def _from_numbers(self) -> AnswerIntegrity | None:
        if len(self.stamps) > 1:
            return count_gaps(self.stamps, "stamps")
        return count_numbers(self.numbers, "sequence-numbers") or count_ids(self._ids)


_CONTINUATION = frozenset(bytes((value,)) for value in range(0x80, 0xC0))


def _counts(found: AnswerIntegrity) -> IntegrityCounts:
    return IntegrityCounts(
        found.evidence,
        found.sent or found.received + found.lost,
        found.lost,
        found.duplicated,
        found.reordered,
        found.altered,
        found.torn,
        found.mixed,
        found.first,
    )
