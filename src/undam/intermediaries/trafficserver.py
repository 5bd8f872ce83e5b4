"""Apache Traffic Server: streams, unless its compress plugin is loaded without flush."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

TRAFFICSERVER = Intermediary(
    name="trafficserver",
    title="Apache Traffic Server",
    kind="proxy",
    signs=(Sign("server", r"^ats\b"), Sign("via", r"\(apachetrafficserver\b")),
    holds=(
        "Streams by default. compress.so with flush false sends headers at once and holds the "
        "whole body."
    ),
    cuts="transaction_no_activity_timeout_out: 30 s of silence.",
    fixes={
        Trouble.COMPRESSION: Fix("trafficserver", "flush true"),
        Trouble.IDLE_LIMIT: Fix(
            "trafficserver",
            "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT 3600",
        ),
    },
    idle_limit_s=30.0,
    evidence="measured",
    version="9.2",
    source="measured on loopback; docs.trafficserver.apache.org, records.config and compress",
    origin_lost="truncated",
    client_left="noticed only at the origin's next write",
)
