"""The HTTP server of aiohttp."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Sign, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "aiohttp 3.14.5", "undam check of a StreamResponse with enable_compression()", checked="2026-11"
)

ENTRY = Intermediary(
    name="aiohttp-server",
    title="aiohttp (server)",
    kind="server",
    claims=(
        Sign("server", r"\baiohttp/(?P<version>\d[\d.]{0,15})", evidence=_RUN),
        Behaviour(Aspect.HOLDS, "Streams each write of a StreamResponse.", evidence=_RUN),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "enable_compression() compresses without a flush, with deflate if the client "
                "accepts it, and holds the events."
            ),
            evidence=_RUN,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "aiohttp-server",
            "# no response.enable_compression() for event streams",
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "aiohttp-server",
            "# no response.enable_compression() for event streams",
            evidence=_RUN,
        ),
    ),
)
