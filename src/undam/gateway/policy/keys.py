"""Client API keys and their limits. No I/O; only the SHA-256 hash of a key is kept."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from undam.errors import ConfigSyntaxError

FORM = "NAME KEY [streams=N] [rate=N/s|N/min|N/h]"
"""Syntax of a line in a key file. KEY may also be ``sha256:`` and 64 hexadecimal digits."""

_HASHED = re.compile(r"sha256:([0-9a-fA-F]{64})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_RATE = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)/(s|min|h)")
_SECONDS = {"s": 1, "min": 60, "h": 3600}
# Shorter keys could be guessed.
_MIN_KEY_CHARS = 16
# With a smaller burst size, a user's parallel requests would be refused even at a low average rate.
_MIN_BURST = 5.0


@dataclass(frozen=True, slots=True)
class Key:
    """One API key.

    Args:
        name: name in logs and traces.
        digest: SHA-256 of the key.
        streams: maximum number of concurrent requests; 0 means no limit.
        per_second: maximum average request rate; 0 means no limit.
    """

    name: str
    digest: bytes
    streams: int = 0
    per_second: float = 0.0


def parse_keys(text: str, path: str) -> tuple[Key, ...]:
    """Parse a key file. A line has the form `FORM`, is empty, or is a ``#`` comment.

    Raises:
        ConfigSyntaxError: a line is invalid. The message does not contain the line, which may
            include a key.
    """
    keys: dict[str, Key] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.partition(" #")[0].split()
        if not fields or fields[0].startswith("#"):
            continue

        def error(message: str, *, at: int = number) -> ConfigSyntaxError:
            return ConfigSyntaxError(message, path=path, line=at, column=1)

        try:
            key = _parse_key(fields)
        except ValueError as problem:
            raise error(str(problem)) from None
        if key.name in keys:
            raise error(f"the name {key.name!r} appears twice")
        if any(key.digest == one.digest for one in keys.values()):
            raise error("the same key appears twice")
        keys[key.name] = key
    if not keys:
        message = f"the file contains no key; the syntax of a line is {FORM}"
        raise ConfigSyntaxError(message, path=path, line=1, column=1)
    return tuple(keys.values())


def find_key(keys: Iterable[Key], token: str) -> Key | None:
    """Return the key that matches ``token``. The time does not depend on whether one matches."""
    from hmac import compare_digest  # noqa: PLC0415 (imports hashlib, see `_digest`)

    digest = _digest(token.encode("utf-8", "surrogateescape"))
    found = None
    for key in keys:
        if compare_digest(key.digest, digest):
            found = key
    return found


def token_of(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the key in ``Authorization: Bearer``, ``x-api-key`` or ``api-key``; "" if none."""
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
    import hashlib  # noqa: PLC0415 (loads OpenSSL, and most gateways have no keys)

    return hashlib.sha256(text).digest()


def _parse_key(fields: Sequence[str]) -> Key:
    if len(fields) < 2:
        raise ValueError(f"the syntax of a line is {FORM}")
    name, text, *limits = fields
    if not _NAME.fullmatch(name):
        raise ValueError("the name may contain only letters, digits and the characters . _ @ -")
    hashed = _HASHED.fullmatch(text)
    if hashed is None and len(text) < _MIN_KEY_CHARS:
        raise ValueError(f"the key of {name!r} is shorter than {_MIN_KEY_CHARS} characters")
    digest = bytes.fromhex(hashed[1]) if hashed else _digest(text.encode())
    streams, per_second = 0, 0.0
    for limit in limits:
        kind, _, value = limit.partition("=")
        rate = _RATE.fullmatch(value)
        if kind == "streams" and value.isdecimal() and 0 < int(value) < 10**9:
            streams = int(value)
        elif kind == "rate" and rate is not None and float(rate[1]) > 0:
            per_second = float(rate[1]) / _SECONDS[rate[2]]
        else:
            raise ValueError(f"the limits of {name!r} must be streams=N or rate=N/s, N/min, N/h")
    return Key(name, digest, streams, per_second)


@dataclass(slots=True)
class _Usage:
    streams: int = 0
    budget: float = 0.0
    at_s: float = 0.0


class KeyUsage:
    """Current usage of each key, by key name, so that limits may change while streams run."""

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}

    def acquire(self, key: Key, now_s: float) -> float | None:
        """Start a request; return the seconds to wait if a limit of the key is reached."""
        burst = max(_MIN_BURST, key.per_second)
        usage = self._usage.setdefault(key.name, _Usage(budget=burst, at_s=now_s))
        if key.streams and usage.streams >= key.streams:
            return 1.0
        if key.per_second:
            usage.budget = min(burst, usage.budget + (now_s - usage.at_s) * key.per_second)
            usage.at_s = now_s
            if usage.budget < 1:
                return (1 - usage.budget) / key.per_second
            usage.budget -= 1
        usage.streams += 1
        return None

    def release(self, name: str) -> None:
        """End a request that `acquire` started; unknown key names are ignored."""
        usage = self._usage.get(name)
        if usage is not None:
            usage.streams = max(0, usage.streams - 1)
