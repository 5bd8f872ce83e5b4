"""Puma."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured("5.6.5", "scripts/measure-intermediaries puma", checked="2026-11")
_SOURCE = documented(
    "puma/puma 8.0.2 (2026-05-27), lib/puma/response.rb and lib/puma/server.rb", checked="2026-11"
)

ENTRY = Intermediary(
    name="puma",
    title="Puma",
    kind="server",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            (
                "On Linux over TCP, it sets TCP_CORK for the whole of an enumerable body, "
                "including the head, so the kernel releases data about every 200 ms: "
                "eight events of 25 ms in one read."
            ),
            evidence=_RUN,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "A partial hijack and a streaming body (one with `call`, Rack 3) are "
                "uncorked after the head; enumerable bodies are still corked in 8.0.2. A "
                "Unix socket is not corked."
            ),
            evidence=_SOURCE,
            since="8",
        ),
        Remedy(
            Trouble.HOLD,
            "puma",
            'bind "unix:///run/puma.sock"  # behind a proxy: only TCP sockets are corked',
            evidence=_SOURCE,
        ),
    ),
)
