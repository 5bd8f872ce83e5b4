"""What the silent ones are known by: the form of a hold, the seconds of a cut.

A suspect is a proposal ("if this is haproxy: …"), never a recognition.
"""

from __future__ import annotations

from undam.intermediaries.registry import INTERMEDIARIES

# A cut shows up to this much after the limit (60.06 and 62 s were measured for 60, 31.3 for 30).
_CUT_LATE = 0.06
_CUT_EARLY = 0.01

_KIB = 1024


def suspects_of_hold(
    *,
    block_bytes: int | None,
    timer_ms: float | None,
    to_end: bool,
    gained_length: bool,
    compressed: bool,
) -> tuple[str, ...]:
    """Names whose habit a hold resembles, the likeliest first; empty where none is known for it.

    Args:
        block_bytes: size of a release, where events came in blocks.
        timer_ms: period of the releases, where events came by a timer.
        to_end: nothing came before the end of the response.
        gained_length: the response carries a Content-Length.
        compressed: the response is compressed.
    """
    if to_end:
        return _holders_to_end(gained_length, compressed)
    if timer_ms is not None:
        return _holders_by_timer(timer_ms)
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
    if 170 <= timer_ms <= 260:  # 200 ms of the kernel, and up to one gap of the stream
        return ("haproxy",)
    if 80 <= timer_ms <= 130:
        return ("traefik",)
    return ()


def _holders_by_block(block_bytes: int, compressed: bool) -> tuple[str, ...]:
    if compressed:
        # Decoded sizes depend on the text, so only the order is worth anything here.
        return ("nginx", "express", "varnish")
    if 1300 <= block_bytes <= 1500:  # one Ethernet segment
        return ("haproxy",)
    # A block holds whole events, so it falls short of the buffer by up to one of them.
    if any(0.8 * size <= block_bytes <= 1.05 * size for size in (4 * _KIB, 8 * _KIB)):
        return ("nginx", "ingress-nginx", "kong", "apisix", "krakend")
    if any(0.8 * size <= block_bytes <= 1.05 * size for size in (_KIB, 2 * _KIB, 16 * _KIB)):
        return ("nginx",)
    return ()


def suspects_of_cut(after_s: float, *, total: bool) -> tuple[str, ...]:
    """Names whose default limit would cut a stream after so many seconds, in registry order.

    Args:
        after_s: from the last byte to the cut; with ``total``, from the start of the request.
        total: whether heartbeats went on until the cut.
    """
    found = []
    for known in INTERMEDIARIES:
        limit_s = known.total_limit_s if total else known.idle_limit_s
        if limit_s is not None and -_CUT_EARLY <= after_s / limit_s - 1 <= _CUT_LATE:
            found.append(known.name)
    return tuple(found)
