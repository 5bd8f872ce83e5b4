"""Deno.serve."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_REPORT = documented("deno#19889, #27725", checked="2026-11")

ENTRY = Intermediary(
    name="deno-serve",
    title="Deno.serve",
    kind="server",
    claims=(
        Behaviour(
            Aspect.COMPRESSION,
            ("Compresses responses automatically and holds them completely, except event streams."),
            evidence=_REPORT,
        ),
        Remedy(Trouble.COMPRESSION, "deno", '"Cache-Control": "no-transform"', evidence=_REPORT),
    ),
)
