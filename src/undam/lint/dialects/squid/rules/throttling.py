"""Rule SQD101: delay pools that are slower than a stream."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.squid.parser import SquidConfig, SquidLine, is_number
from undam.rules import Severity

THROTTLED = ConfigRule(
    code="SQD101",
    slug="stream-in-a-delay-pool",
    severity=Severity.WARNING,
    message="delay pool {pool} allows {rate} bytes per second, less than many streams need",
    safety=Safety.NONE,
    what="""
        A delay pool limits the bytes per second. Depending on the pool's class, the limit applies
        to all clients together or to each client.
    """,
    why="""
        A chat chunk has about 250 bytes, so 50 tokens per second need 12 KB/s for each reader.
        Squid delays data above the rate, so the tokens arrive in bursts.
    """,
    detection="""
        A streaming service uses a delay pool whose `delay_parameters` set a rate below 16 KB/s. No
        `delay_access` line of the pool begins with `deny`.
    """,
    measured="""
        squid 5.7 with `delay_parameters 1 4000/4000`, 150 events of 270 bytes, 10 ms apart: the
        events arrived in bursts and 3 s late.
    """,
    fix="""
        Exclude streams from the delay pool before other requests are allowed. There is no automatic
        fix, because the exclusion needs an ACL of your own.

            acl streams urlpath_regex ^/v1/
            delay_access 1 deny streams
    """,
    source="measured on loopback with squid 5.7; squid.conf.documented, delay_parameters",
)

RULES = (THROTTLED,)

# 50 chunks of 250 bytes per second, with a margin for heartbeats.
_ENOUGH_RATE = 16 << 10


def find(config: SquidConfig) -> Iterator[Diagnostic]:
    """Find delay pools that are slower than a stream."""
    for line in config.all("delay_parameters"):
        pool, *rates = line.texts
        if any(_denies_some(access, pool) for access in config.all("delay_access")):
            continue
        slow = [rate for rate in rates if 0 < (_bytes_per_s(rate) or 0) < _ENOUGH_RATE]
        if slow:
            rate = _bytes_per_s(slow[0])
            yield diagnostic_at(THROTTLED, line.source, line.span, pool=pool, rate=rate)


def _bytes_per_s(text: str) -> int | None:
    """Return the first number in ``restore/max``; ``None`` for -1, which means no limit."""
    first = text.partition("/")[0]
    return int(float(first)) if is_number(first) else None


def _denies_some(access: SquidLine, pool: str) -> bool:
    return access.texts[:2] == (pool, "deny") and access.texts[2:] not in {("all",), ()}
