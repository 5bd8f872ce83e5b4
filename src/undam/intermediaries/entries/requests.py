"""requests."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("2.34.2", "tests/live/test_client_libraries.py", checked="2026-11")

ENTRY = Intermediary(
    name="requests",
    title="requests",
    kind="client",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "iter_lines reads 512 bytes at a time, so a close-delimited body is held "
                "until 512 bytes have arrived."
            ),
            evidence=_RUN,
        ),
        Remedy(Trouble.HOLD, "requests", "response.iter_lines(chunk_size=1)", evidence=_RUN),
    ),
)
