"""Affinity: a conversation's requests go to the upstream that has cached its prefix. No I/O.

The upstream is determined by rendezvous hashing of the conversation and the names of the upstreams.
All workers and replicas of the gateway therefore agree without exchanging state, and if an upstream
is added or removed, only the conversations that it gains or loses move.
"""

from __future__ import annotations

import zlib
from functools import lru_cache

from undam.gateway.interfaces import RequestInfo

HEADER_PREFIX = "header:"
_MASK = (1 << 64) - 1


def affinity_key(mode: str, request: RequestInfo) -> int:
    """Return a number that identifies the conversation of a request; 0 if unknown.

    Args:
        mode: ``off``, ``prefix``, ``user`` or ``header:NAME``. If the named field is missing, the
            other modes fall back to ``prefix``.
    """
    if mode == "off":
        return 0
    text = b""
    if mode.startswith(HEADER_PREFIX):
        text = request.get(mode.removeprefix(HEADER_PREFIX).lower().encode("latin-1")) or b""
    elif mode == "user":
        text = (request.user or request.cache_key).encode("utf-8", "surrogatepass")
    if not text:
        text = request.cache_key.encode("utf-8", "surrogatepass")
    return zlib.crc32(text) | 1 << 32 if text else request.prefix_hash


def preference(key: int, name: str) -> int:
    """Return the preference of conversation ``key`` for an upstream, as a pseudorandom number."""
    return _mixed(key ^ _name_hash(name))


@lru_cache(maxsize=1024)
def _name_hash(name: str) -> int:
    data = name.encode("utf-8", "surrogatepass")
    return _mixed(zlib.crc32(data) << 32 | zlib.crc32(data, 1))


def _mixed(value: int) -> int:
    """Return a 64-bit number whose bits each depend on all bits of ``value`` (SplitMix64)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31
