"""Squid as an accelerator: streams."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

SQUID = Intermediary(
    name="squid",
    title="Squid",
    kind="proxy",
    signs=(
        Sign("via", r"\(squid\b"),
        Sign("x-cache-lookup", r"^(hit|miss|none) from [^ ]{1,255}:\d"),
    ),
    holds="Streams.",
    cuts="read_timeout: 15 min of silence.",
    fixes={Trouble.IDLE_LIMIT: Fix("squid", "read_timeout 1 hour")},
    idle_limit_s=900.0,
    evidence="measured",
    version="5.7",
    source="measured on loopback (68 s of silence survive); squid-cache.org, read_timeout",
    origin_lost="truncated",
    client_left="told within 2 ms, also in silence",
)
