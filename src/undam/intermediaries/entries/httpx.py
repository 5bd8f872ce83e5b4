"""httpx."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("0.28.1", "tests/live/test_client_libraries.py", checked="2026-11")

ENTRY = Intermediary(
    name="httpx",
    title="httpx",
    kind="client",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "iter_bytes(n) holds data until n bytes have arrived; aiter_lines splits "
                "JSON at U+2028 and U+0085."
            ),
            evidence=_RUN,
        ),
        Limit(Aspect.CUTS_IDLE, 5, "The read timeout is 5 s of silence.", evidence=_RUN),
        Remedy(Trouble.HOLD, "httpx", "for chunk in response.iter_raw():", evidence=_RUN),
        Remedy(Trouble.IDLE_LIMIT, "httpx", "httpx.Timeout(5, read=300)", evidence=_RUN),
    ),
)
