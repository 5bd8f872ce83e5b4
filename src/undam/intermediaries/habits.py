"""Known behavior of intermediaries: how each one holds a stream, and the limits that end one.

A habit makes an intermediary a suspect. Whether it stays one depends on the response head; see
``suspects.py``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from undam.intermediaries.claims import Aspect
from undam.intermediaries.head_facts import Stack
from undam.intermediaries.intermediary import Intermediary
from undam.intermediaries.registry import INTERMEDIARIES

# Maximum delay of a cut after a limit, relative to the limit (measured: 60.06 and 62 s for 60 s,
# 31.3 s for 30 s).
_CUT_LATE = 0.06
_CUT_EARLY = 0.01

_KIB = 1024

Release = Literal["end", "size", "timer"]
"""Event that releases held data: the end of the response, a full buffer, or a timer."""

_END, _SIZE, _TIMER = frozenset({"end"}), frozenset({"size"}), frozenset({"timer"})
_BOTH = _END | _SIZE

NEVER_BY_TIMER = frozenset({
    "apache", "caddy", "envoy", "express", "istio", "lighttpd", "nginx", "squid", "trafficserver",
    "varnish",
})  # fmt: skip
"""Measured intermediaries that release held data by size or at the end, never by a timer."""

_ERROR_TEXTS = ((b"Error occurred while trying to proxy", "http-proxy-middleware"),)
"""Error texts that replace the rest of a stream, with the intermediary that writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """One way in which an intermediary holds a stream, and the response head that it then sends.

    Args:
        name: name of the entry.
        releases: what releases the data.
        codings: content codings that it applies; ``None`` if it passes the origin's.
        stacks: languages that it runs in; empty if it is not part of an application.
        length: whether the response has a Content-Length then; ``None`` if both occur.
        close_delimited: whether the body ends with the connection then.
        signs: whether it always leaves a fingerprint, so that its absence excludes it.
        sizes: sizes of its blocks in bytes; empty if any size occurs.
        periods_ms: shortest and longest period of its timer; by default any.
    """

    name: str
    releases: frozenset[str]
    codings: frozenset[str] | None = None
    stacks: frozenset[Stack] = frozenset()
    length: bool | None = None
    close_delimited: bool = False
    signs: bool = False
    sizes: tuple[int, ...] = ()
    periods_ms: tuple[float, float] = (0.0, math.inf)

    @property
    def compresses(self) -> bool:
        """Return whether the intermediary holds the stream in a compressor."""
        return self.codings is not None and self.codings != _PLAIN

    def has_size(self, block_bytes: int) -> bool:
        """Return whether a block of this size fits one of the intermediary's buffer sizes.

        A block holds whole events, so it falls short of the buffer by up to one of them.
        """
        return any(0.8 * size <= block_bytes <= 1.05 * size for size in self.sizes)


_PLAIN = frozenset({""})
_GZIP = frozenset({"gzip"})
_ZLIB = frozenset({"gzip", "deflate"})
_ALL = frozenset({"gzip", "deflate", "br", "zstd"})
_PYTHON: frozenset[Stack] = frozenset({"python"})
_NODE: frozenset[Stack] = frozenset({"node"})
_RUBY: frozenset[Stack] = frozenset({"ruby"})
_READ_SIZES = (*(256 << shift for shift in range(10)), 1000, 10_000)

HABITS: tuple[Habit, ...] = (
    # Without a fingerprint, the application is the most likely suspect.
    Habit(name="application", releases=_END, codings=_PLAIN),
    Habit(name="application-reader", releases=_SIZE, codings=_PLAIN, sizes=_READ_SIZES),
    Habit(name="application", releases=_SIZE, codings=_PLAIN),
    # Proxies that add no fingerprint to the response.
    Habit(name="lighttpd", releases=_END, length=True),
    Habit(name="haproxy", releases=_TIMER, periods_ms=(170, 260)),
    Habit(name="haproxy", releases=_SIZE, codings=_PLAIN, sizes=(1448,)),
    # Proxies that add a fingerprint. nginx holds a short answer in one block until the answer ends.
    Habit(name="nginx", releases=_BOTH, signs=True,
          sizes=(4 * _KIB, 8 * _KIB, _KIB, 2 * _KIB, 16 * _KIB)),
    Habit(name="nginx", releases=_BOTH, codings=_GZIP, signs=True),
    Habit(name="varnish", releases=_END, length=True, signs=True),
    Habit(name="varnish", releases=_BOTH, codings=_GZIP, signs=True),
    Habit(name="trafficserver", releases=_BOTH, codings=_ZLIB | {"br"}, signs=True),
    Habit(name="caddy", releases=_BOTH, codings=_GZIP | {"zstd"}, signs=True),
    Habit(name="caddy", releases=_END, codings=_PLAIN, signs=True),
    Habit(name="krakend", releases=_SIZE, codings=_PLAIN, signs=True, sizes=(4 * _KIB, 8 * _KIB)),
    Habit(name="aws-lambda-url", releases=_END, length=True, signs=True),
    Habit(name="aws-api-gateway", releases=_END, length=True, signs=True),
    Habit(name="traefik", releases=_TIMER, periods_ms=(80, 130)),
    # Servers and applications.
    Habit(name="puma", releases=_TIMER, stacks=_RUBY, periods_ms=(170, 260)),
    Habit(name="tornado", releases=_END, codings=_PLAIN, stacks=_PYTHON, signs=True),
    Habit(name="http-proxy-middleware", releases=_END, codings=_PLAIN, stacks=_NODE, length=True),
    Habit(name="application", releases=_TIMER),
    # Compressors in applications and relays.
    Habit(name="starlette-gzip", releases=_BOTH, codings=_GZIP, stacks=_PYTHON),
    Habit(name="django-gzip", releases=_BOTH, codings=_GZIP, stacks=_PYTHON),
    Habit(name="aiohttp-server", releases=_BOTH, codings=_ZLIB, stacks=_PYTHON, signs=True),
    Habit(name="express", releases=_BOTH, codings=_ZLIB | {"br"}, stacks=_NODE),
    Habit(name="nextjs", releases=_BOTH, codings=_GZIP, stacks=_NODE),
    Habit(name="fastify-compress", releases=_BOTH, codings=_ALL, stacks=_NODE),
    Habit(name="koa-compress", releases=_BOTH, codings=_ALL, stacks=_NODE),
    Habit(name="hono", releases=_BOTH, codings=_ZLIB, stacks=_NODE),
    Habit(name="compression-middleware", releases=_BOTH, codings=_ALL),
    # Inspecting proxies on the user's side, which leave the origin's head unchanged.
    Habit(name="privoxy", releases=_END, codings=_PLAIN, close_delimited=True),
    Habit(name="mitmproxy", releases=_END),
    Habit(name="sophos", releases=_END),
)  # fmt: skip
"""All habits; of equally supported suspects, the earlier one is the more likely."""


def writers_of_text(tail: bytes) -> tuple[str, ...]:
    """Return the names of intermediaries that append their own error text to a broken stream.

    Args:
        tail: the last bytes of the body.
    """
    return tuple(name for text, name in _ERROR_TEXTS if text in tail)


def suspects_of_cut(after_s: float, *, total: bool) -> tuple[str, ...]:
    """Return the names of intermediaries whose default limit matches ``after_s``.

    Args:
        after_s: from the last byte to the cut; with ``total``, from the start of the request.
        total: whether data arrived until the cut, which rules out an idle limit.
    """
    aspect = Aspect.CUTS_TOTAL if total else Aspect.CUTS_IDLE
    return tuple(
        known.name
        for known in INTERMEDIARIES
        if known.kind != "client"  # undam is not affected by the limits of other clients.
        and any(_resembles(after_s, limit) for limit in _default_limits(known, aspect))
    )


def _default_limits(known: Intermediary, aspect: Aspect) -> list[float]:
    """Return the limits that apply by default, in seconds."""
    default_s = known.idle_limit_s if aspect is Aspect.CUTS_IDLE else known.total_limit_s
    return [
        limit.seconds
        for limit in known.limits(aspect)
        # A limit that depends on a setting counts only if the entry has no other default.
        if limit.seconds and ("configuration" not in limit.conditions or limit.seconds == default_s)
    ]


def _resembles(after_s: float, limit_s: float) -> bool:
    return -_CUT_EARLY <= after_s / limit_s - 1 <= _CUT_LATE
