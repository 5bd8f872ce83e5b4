"""A reader inside the application that uses a chunk size, such as aiter_bytes(1024)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("httpx 0.28.1", "tests/live/test_client_libraries.py", checked="2026-11")
_REPORT = documented("karpetrosyan/hishel#450, databricks/unity-gateway#361", checked="2026-11")

ENTRY = Intermediary(
    name="application-reader",
    title="A reader with a chunk size in the application",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "An application that reads its upstream in chunks of a fixed size forwards "
                "nothing until a chunk is full: aiter_bytes(1024) and iter_content(8192) wait for "
                "so much data."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.HOLDS,
            "A caching client that reads the body of a response before it returns it holds all.",
            evidence=_REPORT,
        ),
        Remedy(
            Trouble.HOLD,
            "application",
            "async for chunk in response.aiter_raw():  # in requests: chunk_size=None",
            evidence=_RUN,
        ),
    ),
)
