"""NestJS @Sse."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("@nestjs/core 12.5.1", checked="2026-11")

ENTRY = Intermediary(
    name="nestjs",
    title="NestJS @Sse",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Does not buffer: it sends X-Accel-Buffering: no and no-transform.",
            evidence=_SOURCE,
        ),
    ),
)
