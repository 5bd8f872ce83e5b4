"""Text of the simulated model: one endless text per seed; each response is a prefix of it."""

from __future__ import annotations

import random
from functools import lru_cache

# Short common words, so that a token with its space has about four bytes, as in real vocabularies.
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


class ModelText:
    """The text of one seed as tokens; each token is a space and a word."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)  # noqa: S311 (a text)
        self._tokens = tuple(b" " + rng.choice(_WORDS).encode() for _ in range(_PERIOD))

    def piece(self, start: int, count: int) -> bytes:
        """Return tokens ``start`` to ``start + count`` as one byte string."""
        if count == 1:
            return self._tokens[start % _PERIOD]
        return b"".join(self._tokens[i % _PERIOD] for i in range(start, start + count))

    def prefix(self, count: int) -> str:
        """Return the first ``count`` tokens, which form a complete response of that length."""
        return self.piece(0, count).decode()


@lru_cache(maxsize=16)
def model_text(seed: int) -> ModelText:
    """Return the cached text of ``seed``."""
    return ModelText(seed)
