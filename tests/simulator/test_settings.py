"""Simulator settings: value ranges, parsing of options, and rejection of header injection."""

from __future__ import annotations

from typing import Any

import pytest

from undam.errors import UsageError
from undam.simulator.settings import BodyFraming, SimulatorSettings, parse_header, with_options
from undam.timing.distribution import parse_distribution


@pytest.mark.parametrize(
    "values",
    [
        {"port": 65536},
        {"tokens_per_event": 0},
        {"event_bytes": 1 << 30},
        {"heartbeat_s": 1e6},
        {"heartbeat_s": -1},
        {"stall_after": -1},
        {"stall_ms": 1e9},
        {"die_after": 10**9},
        {"framing": BodyFraming.LENGTH, "heartbeat_s": 1},
        {"headers": (("A b", "c"),)},
        {"headers": (("A", "b\r\nSet-Cookie: c"),)},
        {"headers": (("A", "b\nc"),)},
        {"headers": (("A\n", "b"),)},
        {"headers": (("Content-Length", "3"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
    ],
)
def test_invalid_settings_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        SimulatorSettings(**values)


def test_a_header_is_split_at_its_colon() -> None:
    assert parse_header("X-Accel-Buffering:  no ") == ("X-Accel-Buffering", "no")
    with pytest.raises(UsageError, match="no colon"):
        parse_header("X-Accel-Buffering")


def test_options_change_settings_and_unknown_names_are_ignored() -> None:
    settings = with_options(
        SimulatorSettings(),
        [("ttft", "exp(3)"), ("heartbeat", "1.5"), ("die_after", "4"), ("framing", "close"),
         ("api-version", "2024")],
    )  # fmt: skip
    assert settings.ttft == parse_distribution("exp(3)")
    assert (settings.heartbeat_s, settings.die_after, settings.framing) == (
        1.5,
        4,
        BodyFraming.CLOSE,
    )
    unchanged = SimulatorSettings()
    assert with_options(unchanged, [("other", "1")]) is unchanged


@pytest.mark.parametrize(
    ("name", "text"),
    [("ttft", "soon"), ("stall", "nan"), ("stall", "x"), ("seed", "-1"), ("seed", "²"),
     ("framing", "http3"), ("tokens_per_event", "0"), ("heartbeat", "1e999")],
)  # fmt: skip
def test_an_invalid_value_is_reported_with_its_option(name: str, text: str) -> None:
    with pytest.raises(UsageError, match=name.replace("_", "[-_]")):
        with_options(SimulatorSettings(), [(name, text)])
