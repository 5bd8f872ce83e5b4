"""Hono compress middleware."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("hono 4.13.19", checked="2026-11")

ENTRY = Intermediary(
    name="hono",
    title="Hono compress middleware",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.COMPRESSION,
            ("Skips event streams; streams of other types are compressed without a flush."),
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "hono",
            'c.header("Content-Type", "text/event-stream")',
            evidence=_SOURCE,
        ),
    ),
)
