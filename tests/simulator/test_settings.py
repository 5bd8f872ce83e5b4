"""Knobs: bounds, texts, and headers that cannot break out of the head."""

from __future__ import annotations

from typing import Any

import pytest

from undam.errors import UsageError
from undam.simulator.settings import Framing, SimulatorSettings, parse_header, with_options
from undam.timing.distribution import parse_distribution


@pytest.mark.parametrize(
    "wrong",
    [
        {"port": 65536},
        {"tokens_per_event": 0},
        {"event_bytes": 1 << 30},
        {"heartbeat_s": 1e6},
        {"heartbeat_s": -1},
        {"stall_after": -1},
        {"stall_ms": 1e9},
        {"die_after": 10**9},
        {"framing": Framing.LENGTH, "heartbeat_s": 1},
        {"headers": (("A b", "c"),)},
        {"headers": (("A", "b\r\nSet-Cookie: c"),)},
        {"headers": (("A", "b\nc"),)},
        {"headers": (("A\n", "b"),)},
        {"headers": (("Content-Length", "3"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SimulatorSettings(**wrong)


def test_a_header_is_a_name_and_a_value() -> None:
    assert parse_header("X-Accel-Buffering:  no ") == ("X-Accel-Buffering", "no")
    with pytest.raises(UsageError, match="no colon"):
        parse_header("X-Accel-Buffering")


def test_texts_set_knobs_and_leave_other_names_alone() -> None:
    made = with_options(
        SimulatorSettings(),
        [("ttft", "exp(3)"), ("heartbeat", "1.5"), ("die_after", "4"), ("framing", "close"),
         ("api-version", "2024")],
    )  # fmt: skip
    assert made.ttft == parse_distribution("exp(3)")
    assert (made.heartbeat_s, made.die_after, made.framing) == (1.5, 4, Framing.CLOSE)
    unchanged = SimulatorSettings()
    assert with_options(unchanged, [("other", "1")]) is unchanged


@pytest.mark.parametrize(
    ("name", "text"),
    [("ttft", "soon"), ("stall", "nan"), ("stall", "x"), ("seed", "-1"), ("seed", "²"),
     ("framing", "http3"), ("tokens_per_event", "0"), ("heartbeat", "1e999")],
)  # fmt: skip
def test_a_text_that_cannot_be_used_names_its_knob(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name.replace("_", "[-_]")):
        with_options(SimulatorSettings(), [(name, text)])
