"""openai-python."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "3.57.0",
    "an event stream with a lone retry, a named ping, an empty data line, an id and a comment",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="openai-python",
    title="openai-python",
    kind="client",
    claims=(
        Limit(Aspect.CUTS_IDLE, 600, "The read timeout is 600 s of silence.", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS,
            (
                "Does not buffer. It raises JSONDecodeError on a lone `retry:`, a named "
                "ping without data, an empty `data:`, and a comment after an `id:`. A BOM "
                "makes it lose the first event."
            ),
            evidence=_RUN,
        ),
    ),
)
