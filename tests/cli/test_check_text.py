"""Text report: verdict, timeline, metrics, and findings with fixes, in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.check_reports import hop, report
from support.synthetic_streams import Write, block_buffer, chat_event, exchange, hold_to_end
from undam.cli.commands.check.text import print_report
from undam.cli.ui.output import console
from undam.diagnosis.findings.disconnect import Disconnect
from undam.diagnosis.findings.limits import PathLimits
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.probe import Report
from undam.record import Ending
from undam.rules import Fix

CLEAN = """\
STREAMING  events arrive as they are sent

  edge |     ···:··:·:··:··:··:··:·:··:··:··:·:··:··:··:··:·:··:··:··:·:|
        0 to 2.2 s, a column is 34 ms: · one event  : 2-4  ▪ 5-15  █ 16 and more

  hop   verdict    headers  TTFT      hold p50 / p99  events  per read  signed by
  edge  streaming  1.0 ms   200.1 ms  -               80      1, max 1  -
"""

TextOf = Callable[[Report], str]

# ``{message}`` is replaced by the message from the finding's rule.
BLOCKS = """\
BATCHED  edge: {message}

  edge  |                      █                 █                 █    ▪|
  model |     ···:··:·:··:··:··:··:·:··:··:··:·:··:··:··:··:·:··:··:··:·:|
         0 to 2.2 s, a column is 34 ms: · one event  : 2-4  ▪ 5-15  █ 16 and more

  hop    verdict    headers  TTFT      hold p50 / p99     events  per read    signed by
  edge   batched    1.0 ms   775.1 ms  ~275.0 / 600.0 ms  80      23, max 24  nginx
  model  streaming  1.0 ms   200.1 ms  -                  80      1, max 1    -

error UD102 held-in-blocks at edge
  {message}
  fix (nginx): proxy_buffering off;
  more: undam explain UD102
"""


@pytest.fixture
def text_of(capsys: pytest.CaptureFixture[str]) -> TextOf:
    def words(made: Report) -> str:
        print_report(made, console())
        return capsys.readouterr().out

    return words


def test_clean_stream(text_of: TextOf) -> None:
    assert text_of(report(hop())) == CLEAN


def test_buffering_hop_between_two_hops(text_of: TextOf) -> None:
    model = hop("model")
    made = report(hop("edge", block_buffer(4096), server="nginx", inner=model), model)
    assert text_of(made) == BLOCKS.format(message=made.findings[0].message)


def test_beacon_adds_due_times_and_exact_holds(text_of: TextOf) -> None:
    offset = ClockOffset(0, 0, 0)
    text = text_of(report(hop(model=hold_to_end(), offset=offset), offset=offset))
    due = next(line for line in text.splitlines() if line.startswith("  due  |"))
    edge = next(line for line in text.splitlines() if line.startswith("  edge |"))
    assert due == "  due  |     ···:··:·:··:··:··:··:·:··:··:··:·:··:··:··:··:·:··:··:··:·:|"
    assert edge.endswith("█|")
    assert "~" not in text
    assert text.startswith("HELD-TO-END  ")


def test_no_event_arrived(text_of: TextOf) -> None:
    reading = read_exchange(exchange([], ending=Ending.TIMEOUT, ended_ms=2000))
    first, blank, metrics, *rest = text_of(report(analyze_hop([reading]))).splitlines()
    assert first == "UNKNOWN  edge: no event arrived within 2.0 s of the request"
    assert (blank, metrics.split()[0]) == ("", "hop")
    assert rest[0].split()[:2] == ["edge", "unknown"]


def test_cut_stream_is_mentioned_beside_the_verdict(text_of: TextOf) -> None:
    reads = [Write(20.0 * i, chat_event(" tok")) for i in range(1, 60)]
    reading = read_exchange(exchange(reads, ending=Ending.RESET, error="reset by h"))
    first = text_of(report(analyze_hop([reading]))).splitlines()[0]
    assert first.startswith("STREAMING  events arrive as they are sent, but ")
    assert "broke off" in first


def test_end_of_a_body_is_reported_once(text_of: TextOf) -> None:
    broken = exchange([], ending=Ending.BROKEN, error="the body is no gzip\x1b[2J data")
    text = text_of(report(analyze_hop([read_exchange(broken)])))
    assert text.count("edge: the body stopped: the body is no gzip\\x1b[2J data") == 1
    reset = exchange([Write(1, chat_event(" a"))], ending=Ending.RESET, error="reset by h")
    assert text_of(report(analyze_hop([read_exchange(reset)]))).count("body stopped") == 0


def test_fix_of_several_lines_is_aligned(text_of: TextOf) -> None:
    made = report(hop(model=block_buffer(4096), server="nginx"))
    fix = Fix("nginx", "one;\ntwo;")
    lines = text_of(replace(made, findings=(replace(made.findings[0], fix=fix),))).splitlines()
    at = lines.index("  fix (nginx): one;")
    assert lines[at + 1] == "               two;"


def test_server_text_cannot_imitate_a_line_of_the_report(text_of: TextOf) -> None:
    made = report(hop(model=block_buffer(4096)))
    forged = replace(
        made.findings[0], message="x\nerror UD999 forged\x1b[31m", hop="a\nb", fix=None
    )
    text = text_of(replace(made, findings=(forged,)))
    assert not any(line.startswith("error UD999") for line in text.splitlines())
    assert "\x1b" not in text


@pytest.mark.parametrize(
    ("limits", "wanted"),
    [
        (PathLimits(3.0), "silence up to 3 s: survived"),
        (PathLimits(3.0, idle_s=2.04), "cut after 2.0 s without a byte (an idle limit)"),
        (PathLimits(90.0, total_s=15.0), "cut 15.0 s after its start (a total limit)"),
        (
            PathLimits(9.0, drop_between_s=(2.25, 4.5)),
            "dropped without closing, between 2.25 and 4.5",
        ),
    ],
)
def test_limits(text_of: TextOf, limits: PathLimits, wanted: str) -> None:
    assert wanted in text_of(replace(report(hop()), limits=limits))


def test_disconnects(text_of: TextOf) -> None:
    disconnects = (Disconnect("between tokens", 1.25, 4000), Disconnect("in silence", None, 4000))
    text = text_of(replace(report(hop()), disconnects=disconnects))
    assert "client disconnected between tokens: noticed by the origin 1.2 ms later" in text
    assert "client disconnected in silence: not noticed by the origin" in text


def test_picture_is_ascii_without_unicode(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = console()
    monkeypatch.setattr(type(out), "encoding", property(lambda _self: "ascii"))
    print_report(report(hop(model=block_buffer(4096))), out)
    assert capsys.readouterr().out.isascii()
