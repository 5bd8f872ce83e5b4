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
            (
                "Compresses responses by itself and holds the whole of them; event streams "
                "are left out."
            ),
            evidence=_REPORT,
        ),
        Remedy(Trouble.COMPRESSION, "deno", '"Cache-Control": "no-transform"', evidence=_REPORT),
    ),
)
