"""Text of the simulated model: each response is a prefix of the endless text of its seed.

A beacon query can request numbered pieces instead (`undam.timing.numbered_text`).
"""

from __future__ import annotations

import random
from functools import lru_cache
from typing import Protocol

from undam.timing.numbered_text import answer_tag, encode_clock, encode_piece

# Short, common words, so that a token with its space has about four bytes, as in real vocabularies.
# Plain letters need no escaping in JSON or SSE.
_PROSE = (
    "the of and a to in is you that it he was for on are as with his they at be this have from or "
    "one had by word but not what all were we when your can said there use an each which she do "
    "how their if will up other about out many then them so some her would make like him into "
    "time has look two more go see no way could my than first been call who its now find long "
    "down day did get come made may part"
)
_WORDS = _PROSE.split()

# Number of tokens after which the text repeats.
_PERIOD = 4096


class AnswerText(Protocol):
    """Text source for one response. The text needs no escaping in JSON or SSE."""

    divided: bool
    """True if events are divided between two writes, within a character."""

    def piece(self, start: int, count: int, due_ns: int) -> bytes:
        """Return ``count`` tokens from index ``start`` on, which are due at ``due_ns``."""
        ...

    def prefix(self, count: int) -> str:
        """Return the first ``count`` tokens, which make up a complete response of that length."""
        ...


class ModelText:
    """Text for one seed, as tokens; each token is a space and a word."""

    divided = False

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 (a text)
        self._tokens = tuple(b" " + rng.choice(_WORDS).encode() for _ in range(_PERIOD))

    def piece(self, start: int, count: int, due_ns: int = 0) -> bytes:
        """Return ``count`` tokens from index ``start`` on, as one byte string."""
        if count == 1:
            return self._tokens[start % _PERIOD]
        return b"".join(self._tokens[i % _PERIOD] for i in range(start, start + count))

    def prefix(self, count: int) -> str:
        """Return the first ``count`` tokens, which make up a complete response of that length."""
        return self.piece(0, count).decode()


class NumberedText:
    """Numbered pieces with due times and checksums. Each call of `piece` returns the next piece.

    Args:
        pieces: number of events with content.
    """

    divided = True

    def __init__(self, exchange_id: str, pieces: int) -> None:
        self._tag = answer_tag(exchange_id)
        self._total = pieces
        self._sent: list[str] = []

    def piece(self, start: int, count: int, due_ns: int) -> bytes:
        """Return the next piece, whatever number of tokens is requested."""
        piece = encode_piece(len(self._sent), self._total, due_ns, self._tag)
        self._sent.append(piece)
        return piece.encode()

    def prefix(self, count: int) -> str:
        """Return all pieces generated so far."""
        return "".join(self._sent)


class ClockText:
    """Answer to a clock query that arrived in the body of a model request."""

    divided = False

    def __init__(self, arrived_ns: int, left_ns: int, host: str) -> None:
        self._text = encode_clock(arrived_ns, left_ns, host)

    def piece(self, start: int, count: int, due_ns: int) -> bytes:
        """Return the whole text."""
        return self._text.encode()

    def prefix(self, count: int) -> str:
        """Return the whole text."""
        return self._text


@lru_cache(maxsize=16)
def model_text(seed: int) -> ModelText:
    """Return the cached text for ``seed``."""
    return ModelText(seed)
