"""Suspects for a hold or a cut: intermediaries whose usual behaviour it resembles.

A suspect leads to a conditional fix ("haproxy, if that is in the path") and is not reported as
recognised.
"""

from __future__ import annotations

from dataclasses import dataclass

from undam.intermediaries.claims import Aspect
from undam.intermediaries.intermediary import Intermediary
from undam.intermediaries.registry import INTERMEDIARIES

# Delay of a cut after its limit (measured: 60.06 and 62 s for a limit of 60 s, 31.3 s for 30 s).
_CUT_LATE = 0.06
_CUT_EARLY = 0.01

_KIB = 1024

NEVER_BY_TIMER = frozenset({
    "apache", "caddy", "envoy", "express", "istio", "lighttpd", "nginx", "squid", "trafficserver",
    "varnish",
})  # fmt: skip
"""Measured intermediaries that release held data by size or at the end, never by a timer."""

_ERROR_TEXTS = ((b"Error occurred while trying to proxy", "http-proxy-middleware"),)
"""Error texts that replace the rest of a stream, with the intermediary that writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerEvidence:
    """Evidence from a hop that excludes suspects of a hold by a timer.

    Args:
        mixed_case: header names arrived with capital letters; HAProxy sends them in lower case.
        flushed_at_once: the response is an event stream or has no length; Traefik, as every Go
            reverse proxy, flushes those at once.
        innermost: no hop further in was measured, so the server itself may hold the events.
        origin_headers: the head has the Server or Date of an origin; Puma sends neither.
    """

    mixed_case: bool = False
    flushed_at_once: bool = False
    innermost: bool = True
    origin_headers: bool = True

    def excludes(self, name: str) -> bool:
        """Return whether the evidence rules out ``name`` as the cause."""
        if name == "haproxy":
            return self.mixed_case
        return self.flushed_at_once if name == "traefik" else name == "puma" and not self.innermost


def suspects_of_hold(
    *,
    block_bytes: int | None,
    timer_ms: float | None,
    to_end: bool,
    gained_length: bool,
    compressed: bool,
    place: TimerEvidence | None = None,
) -> tuple[str, ...]:
    """Return names of intermediaries with a similar hold, the most likely first.

    Args:
        block_bytes: size of a release, if events arrived in blocks.
        timer_ms: period of the releases, if events arrived by a timer.
        to_end: nothing arrived before the end of the response.
        gained_length: the response carries a Content-Length.
        compressed: the response is compressed.
        place: evidence from the hop; ``None`` excludes no suspect.
    """
    if to_end:
        return _holders_to_end(gained_length, compressed)
    if timer_ms is not None:
        names = _holders_by_timer(timer_ms)
        if place is None:
            return names
        names = tuple(name for name in names if not place.excludes(name))
        return names if place.origin_headers else tuple(reversed(names))
    if block_bytes is not None:
        return _holders_by_block(block_bytes, compressed)
    return ()


def _holders_to_end(gained_length: bool, compressed: bool) -> tuple[str, ...]:
    if gained_length:
        return ("lighttpd", "varnish", "node-http-proxy")
    if compressed:
        return ("nginx", "express", "nextjs", "starlette-gzip", "varnish", "trafficserver", "caddy")
    # A short answer fits into one block of nginx, so its end and its release coincide.
    return ("nginx", "aws-lambda-url", "aws-api-gateway", "mitmproxy", "caddy")


def _holders_by_timer(timer_ms: float) -> tuple[str, ...]:
    # The kernel holds the data of a corked socket for 200 ms, plus up to one gap of the stream.
    if 170 <= timer_ms <= 260:
        return ("haproxy", "puma")
    if 80 <= timer_ms <= 130:
        return ("traefik",)
    return ()


def _holders_by_block(block_bytes: int, compressed: bool) -> tuple[str, ...]:
    if compressed:
        # Decoded sizes depend on the text, so the size cannot identify an intermediary here.
        return ("nginx", "express", "varnish")
    if 1300 <= block_bytes <= 1500:  # one Ethernet segment
        return ("haproxy",)
    # A block holds whole events, so it falls short of the buffer by up to one of them. Kong and
    # APISIX hold such blocks only from an origin that ends the body with the connection.
    if any(0.8 * size <= block_bytes <= 1.05 * size for size in (4 * _KIB, 8 * _KIB)):
        return ("nginx", "krakend")
    if any(0.8 * size <= block_bytes <= 1.05 * size for size in (_KIB, 2 * _KIB, 16 * _KIB)):
        return ("nginx",)
    return ()


def writers_of_text(tail: bytes) -> tuple[str, ...]:
    """Return names of intermediaries that add their own error text to a stream that broke off.

    Args:
        tail: the last bytes of the body.
    """
    return tuple(name for text, name in _ERROR_TEXTS if text in tail)


def suspects_of_cut(after_s: float, *, total: bool) -> tuple[str, ...]:
    """Return names with a default limit that matches ``after_s``, in registry order.

    Args:
        after_s: from the last byte to the cut; with ``total``, from the start of the request.
        total: whether data arrived until the cut, which rules out an idle limit.
    """
    aspect = Aspect.CUTS_TOTAL if total else Aspect.CUTS_IDLE
    return tuple(
        known.name
        for known in INTERMEDIARIES
        if known.kind != "client"  # undam brings its own client
        and any(_resembles(after_s, limit) for limit in _default_limits(known, aspect))
    )


def _default_limits(known: Intermediary, aspect: Aspect) -> list[float]:
    """Return the limits, in seconds, that apply by default."""
    default_s = known.idle_limit_s if aspect is Aspect.CUTS_IDLE else known.total_limit_s
    return [
        limit.seconds
        for limit in known.limits(aspect)
        # A limit that depends on a setting counts only if the entry has no other default.
        if limit.seconds and ("configuration" not in limit.conditions or limit.seconds == default_s)
    ]


def _resembles(after_s: float, limit_s: float) -> bool:
    return -_CUT_EARLY <= after_s / limit_s - 1 <= _CUT_LATE
