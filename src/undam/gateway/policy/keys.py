"""The gateway's own keys: who may come in, and how much each may use. Pure; a key's text is kept
as its SHA-256 only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from undam.errors import ConfigSyntaxError

FORM = "NAME KEY [streams=N] [rate=N/s|N/min]"
"""A line of a key file; KEY may be given as ``sha256:`` and 64 hexadecimal digits."""

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
# A key that can be guessed protects nothing.
_SHORTEST = 16
# Below that a burst of one user's parallel requests would be refused although the mean is low.
_LEAST_BURST = 5.0


@dataclass(frozen=True, slots=True)
class Key:
    """One key.

    Args:
        name: what logs call it.
        digest: the SHA-256 of its text.
        streams: at once; 0 is no limit.
        per_second: requests in the mean; 0 is no limit.
    """

    name: str
    digest: bytes
    streams: int = 0
    per_second: float = 0.0


def parse_keys(text: str, path: str) -> tuple[Key, ...]:
    """Read a key file: one key a line, `FORM`; empty lines and ``#`` comments between.

    Raises:
        ConfigSyntaxError: a line of another form; its text is not told, as it may hold a key.
    """
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition(" #")[0].split()
        if not words or words[0].startswith("#"):
            continue

        def refuse(why: str, *, at: int = number) -> ConfigSyntaxError:
            return ConfigSyntaxError(why, path=path, line=at, column=1)

        try:
            key = _key(words)
        except ValueError as problem:
            raise refuse(str(problem)) from None
        if key.name in keys:
            raise refuse(f"the name {key.name!r} stands there twice")
        if any(key.digest == one.digest for one in keys.values()):
            raise refuse("the same key stands there twice")
        keys[key.name] = key
    if not keys:
        raise ConfigSyntaxError(f"no key in it; a line is {FORM}", path=path, line=1, column=1)
    return tuple(keys.values())


def find_key(keys: Iterable[Key], token: str) -> Key | None:
    """The key whose text is ``token``. Takes as long for each, and as long for none."""
    from hmac import compare_digest  # noqa: PLC0415 (as below)

    digest = _digest(token.encode("utf-8", "surrogateescape"))
    found = None
    for key in keys:
        if compare_digest(key.digest, digest):
            found = key
    return found


def token_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The key that a request brings: ``Authorization: Bearer``, ``x-api-key`` or ``api-key``."""
    for wanted in (b"authorization", b"x-api-key", b"api-key"):
        for name, value in headers:
            if name.lower() != wanted:
                continue
            text = value.decode("latin-1").strip()
            if wanted != b"authorization":
                return text
            scheme, _, token = text.partition(" ")
            if scheme.lower() == "bearer":
                return token.strip()
    return ""


def _digest(text: bytes) -> bytes:
    import hashlib  # noqa: PLC0415 (with its ciphers it is large, and most gateways have no keys)

    return hashlib.sha256(text).digest()


def _key(words: Sequence[str]) -> Key:
    if len(words) < 2:
        raise ValueError(f"a line is {FORM}")
    name, text, *limits = words
    if not _NAME.fullmatch(name):
        raise ValueError("the first word is no name: letters, digits and . _ @ - ")
    hashed = _HASHED.fullmatch(text)
    if hashed is None and len(text) < _SHORTEST:
        raise ValueError(f"the key of {name!r} has less than {_SHORTEST} characters")
    digest = bytes.fromhex(hashed[1]) if hashed else _digest(text.encode())
    streams, per_second = 0, 0.0
    for limit in limits:
        what, _, value = limit.partition("=")
        rate = _RATE.fullmatch(value)
        if what == "streams" and value.isdecimal() and 0 < int(value) < 10**9:
            streams = int(value)
        elif what == "rate" and rate is not None and float(rate[1]) > 0:
            per_second = float(rate[1]) / _SECONDS[rate[2]]
        else:
            raise ValueError(f"a limit of {name!r} is not streams=N or rate=N/s, N/min, N/h")
    return Key(name, digest, streams, per_second)


@dataclass(slots=True)
class _Use:
    streams: int = 0
    budget: float = 0.0
    at_s: float = 0.0


class KeyUsage:
    """What each key uses now; by its name, so that limits may change while streams go on."""

    def __init__(self) -> None:
        self._uses: dict[str, _Use] = {}

    def take(self, key: Key, now_s: float) -> float | None:
        """Begin a request: ``None``, or after how many seconds to ask again."""
        burst = max(_LEAST_BURST, key.per_second)
        use = self._uses.setdefault(key.name, _Use(budget=burst, at_s=now_s))
        if key.streams and use.streams >= key.streams:
            return 1.0
        if key.per_second:
            use.budget = min(burst, use.budget + (now_s - use.at_s) * key.per_second)
            use.at_s = now_s
            if use.budget < 1:
                return (1 - use.budget) / key.per_second
            use.budget -= 1
        use.streams += 1
        return None

    def give_back(self, name: str) -> None:
        """A request that `take` let in is over."""
        use = self._uses.get(name)
        if use is not None:
            use.streams = max(0, use.streams - 1)
