"""The page of a load test: what it shows, in what order, and that no text of others acts."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from support.load_runs import ALL_TROUBLES, HOSTILE, MS, START_NS, contract_summary, load_run
from undam.record import ContentRead, Measured, Outcome
from undam.report import page
from undam.report.axes import for_durations, linear, percentile_place, percentile_ticks
from undam.report.distribution import distribution
from undam.report.gaps import gaps_of
from undam.report.markup import Markup, count, element, escape, figure_ms, number
from undam.report.timeline import MOST_DOTS, most_in_flight, thinned
from undam.report.waterfall import phases, slowest, stalls, waterfall

_VOID = {"meta", "br"}


class _Read(HTMLParser):
    """Tags with their attributes and the text of a page; every tag must be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)

    def ids(self, tag: str) -> set[str | None]:
        return {attrs["id"] for name, attrs in self.tags if name == tag and "id" in attrs}


def _one(**changes: Any) -> Measured:
    reads = tuple(ContentRead(START_NS + at * MS, 0, 0, 1) for at in (200, 220, 240))
    base = Measured(
        number=0, worker=0, intended_ns=START_NS, started_ns=START_NS + MS, status=200,
        head_ns=START_NS + 3 * MS, ended_ns=START_NS + 250 * MS, outcome=Outcome.COMPLETE,
        reads=reads,
    )  # fmt: skip
    return replace(base, **changes)


@pytest.fixture(scope="module")
def troubled() -> list[Measured]:
    return load_run(1000, ALL_TROUBLES, warmup=20)


def test_a_troubled_run_is_shown_whole(troubled: list[Measured]) -> None:
    fix = {"where": "undam bench", "text": "--workers 2"}
    findings = [
        {
            "code": "UD901",
            "slug": "client",
            "severity": "warning",
            "message": "late",
            "fix": fix,
        },
        {"code": "UD202", "slug": "bursts", "severity": "odd", "message": "four a write"},
    ]
    about = {
        "schema": 1, "kind": "record", "url": "http://x/", "command": ["undam", "bench"],
        "python_version": "3.11", "host": {"cores": 2},
    }  # fmt: skip
    html = page({**contract_summary(troubled), "findings": findings, "load": "50 in flight"},
                troubled, about)  # fmt: skip
    read = _Read(html)
    assert len(html.encode()) < 2_000_000
    assert read.ids("svg") == {"ttft", "itl", "timeline", "gaps", "waterfall"}
    assert read.text.index("--workers 2") < read.text.index("Time to first token")
    assert "(50 in flight)" in read.text
    assert "Band: where this client was late" in read.text
    assert "status-429" in read.text
    assert "undam bench" in read.text
    assert "cores 2" in read.text
    assert "python version" in read.text
    assert "kernel clock" in read.text
    classes = [attrs.get("class") for _, attrs in read.tags]
    for shown in ("dot", "dot cut", "warm", "cross", "cross cut", "w-stall", "g-together", "band"):
        assert shown in classes
    # The hop is blamed of nothing, the server and the client are.
    assert [one for one in classes if one and one.startswith("state")] == [
        "state", "state found", "state found",
    ]  # fmt: skip


def test_every_chart_can_be_read_without_seeing_it(troubled: list[Measured]) -> None:
    read = _Read(page(contract_summary(troubled), troubled))
    for attrs in (attrs for tag, attrs in read.tags if tag == "svg"):
        assert attrs["role"] == "img"
        named = set((attrs["aria-labelledby"] or "").split())
        assert named <= read.ids("title") | read.ids("desc")
        assert len(named) == 2
    assert read.text.count("Numbers") == 5


def test_no_text_of_others_acts(troubled: list[Measured]) -> None:
    summary = contract_summary(troubled)
    summary["findings"] = [
        {"code": HOSTILE, "slug": HOSTILE, "severity": HOSTILE, "message": HOSTILE,
         "fix": {"where": HOSTILE, "text": HOSTILE}},
    ]  # fmt: skip
    named = [replace(one, kind=one.kind and HOSTILE) for one in troubled]
    html = page({**summary, "load": HOSTILE}, named, {"url": HOSTILE, HOSTILE: HOSTILE})
    read = _Read(html)
    assert {tag for tag, _ in read.tags} & {"script", "img", "iframe", "link", "a", "base"} == set()
    assert not any(name.startswith("on") for _, attrs in read.tags for name in attrs)
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert read.text.count("<script>alert(1)</script>") > 5
    assert html.count("default-src 'none'".replace("'", "&#x27;")) == 1
    for outside in ("http://", "https://", "url(", "@import", "src="):
        assert outside not in html.replace(str(escape(HOSTILE)), "")


def test_a_clean_run_names_nothing() -> None:
    run = load_run(60)
    read = _Read(page(contract_summary(run), run))
    assert "Nothing found" in read.text
    assert "What failed" not in read.text
    assert "found: see above" not in read.text
    assert "Band:" not in read.text


@pytest.mark.parametrize(
    "run",
    [
        [],
        [_one(reads=(), outcome=Outcome.ERROR, kind="refused", started_ns=None, head_ns=None,
              status=None, ended_ns=START_NS)],
        [_one(reads=(), outcome=Outcome.ABANDONED)],
        [_one(reads=_one().reads[:1])],
        [_one(warmup=True)],
    ],
    ids=["none", "all refused", "abandoned", "one token", "only warm-up"],
)  # fmt: skip
def test_a_poor_run_has_its_page(run: list[Measured]) -> None:
    read = _Read(page({"schema": 1, "command": "bench"}, run))
    assert ("timeline" in read.ids("svg")) == bool(run)
    assert ("waterfall" in read.ids("svg")) == any(not one.warmup for one in run)
    assert ("ttft" in read.ids("svg")) == any(one.reads and not one.warmup for one in run)


def test_gaps_are_exact_bounded_or_together() -> None:
    first = START_NS + 200 * MS
    reads = (
        ContentRead(first, 0, 0, 2),
        ContentRead(first + 60 * MS, 40 * MS, 8 * MS, 3),
        ContentRead(first + 80 * MS, 20 * MS, 8 * MS, 1),
    )
    gaps = gaps_of([_one(reads=reads)])
    assert (gaps.together, gaps.uncertain, gaps.alone, gaps.count) == (1, 3, 1, 5)
    assert gaps.high == [0, 20, 40, 40, 60]
    assert gaps.low == [0, 0, 0, 20, 20]


def test_phases_follow_each_other() -> None:
    assert [(name, start // MS, end // MS) for name, _, start, end in phases(_one())] == [
        ("send", 0, 1), ("head", 1, 3), ("first", 3, 200), ("content", 200, 250),
    ]  # fmt: skip
    failed = _one(reads=(), head_ns=None, outcome=Outcome.ERROR, kind="timeout")
    assert [(name, words) for name, words, _, _ in phases(failed)] == [
        ("send", "send delay"), ("failed", "error (timeout)"),
    ]  # fmt: skip


def test_the_slowest_are_those_that_waited_longest_at_a_stretch() -> None:
    stalled = _one(number=1, reads=(*_one().reads, ContentRead(START_NS + 900 * MS, 0, 0, 1)))
    silent = _one(number=2, reads=(), ended_ns=START_NS + 500 * MS, outcome=Outcome.ERROR)
    assert [one.number for one in slowest([_one(), silent, stalled])] == [1, 2, 0]
    assert slowest([_one()] * 20, 3) == [_one()] * 3
    assert stalls(stalled, 500) == [(240 * MS, 900 * MS)]
    assert stalls(stalled, 700) == []


def test_a_row_holds_as_much_as_fits() -> None:
    dense = tuple(ContentRead(START_NS + (200 + i) * MS, 0, 0, 1) for i in range(9000))
    brief = ContentRead(dense[-1].at_ns + 250 * MS, 0, 0, 1)
    drawn = waterfall([_one(reads=(*dense, brief), ended_ns=brief.at_ns)], 200)
    path = next(part for part in drawn.split("<path")[1:] if 'class="reads"' in part)
    assert 500 < path.count("M") < 2000
    assert "stall of 250 ms" in drawn
    assert ">250 ms</text>" not in drawn


def test_a_percentile_that_is_the_maximum_stands_for_it() -> None:
    thousand = distribution("ttft", "TTFT", [float(i) for i in range(1000)])
    assert ">p99.9</text>" in thousand
    assert ">max</text>" not in thousand
    assert ">max</text>" in distribution("ttft", "TTFT", [float(i) for i in range(700)])


def test_a_crowd_is_thinned_and_nothing_that_stands_out_is_lost() -> None:
    run = [
        _one(number=i, intended_ns=START_NS + i * MS,
             outcome=Outcome.ERROR if i % 50 == 0 else Outcome.COMPLETE)
        for i in range(10 * MOST_DOTS)
    ]  # fmt: skip
    spike = replace(run[777], reads=(ContentRead(START_NS + 99_000 * MS, 0, 0, 1),))
    run[777] = spike
    drawn = thinned(run)
    assert spike in drawn
    assert {one for one in run if one.outcome is Outcome.ERROR} <= set(drawn)
    assert len(drawn) <= MOST_DOTS + 1
    assert "are drawn" in page({}, run)
    assert len(thinned([replace(one, outcome=Outcome.ERROR) for one in run])) <= MOST_DOTS


def test_in_flight_is_counted_between_start_and_end() -> None:
    late = _one(started_ns=START_NS + 125 * MS, ended_ns=START_NS + 250 * MS)
    most = most_in_flight([_one(), late, _one(started_ns=None)], START_NS, 0.25)
    assert (most[0], most[10], most[-10]) == (0, 1, 2)


def test_axes_have_round_marks() -> None:
    assert linear(530, 0, 100).ticks() == [0, 200, 400]
    assert linear(0, 0, 100)(0) == 0
    assert linear(10, 100, 0)(5) == 50
    assert linear(10, 0, 100)(99) == 100
    assert not for_durations([1, 2, 3], 2, 0, 100).log
    tail = for_durations([0, 20, 20, 500], 20, 0, 100)
    assert tail.log
    assert tail.ticks() == [20, 50, 100, 200, 500]
    assert for_durations([0.001, 20, 20, 90_000], 20, 0, 100).ticks() == [1, 10, 100, 1000, 10_000]


def test_the_percentile_axis_goes_by_nines() -> None:
    places = [round(percentile_place(q, 1000, 0, 300)) for q in (0, 0.5, 0.9, 0.99, 0.999, 1)]
    assert places == [0, 30, 100, 200, 300, 300]
    assert percentile_ticks(1000) == [0, 0.5, 0.9, 0.99, 0.999]
    assert percentile_ticks(1) == [0]


def test_markup_is_made_of_elements_only() -> None:
    inner = element("b", "<i>", None, Markup("<br>"), class_="a", stroke_width=1.25, gone=None)
    assert inner == '<b class="a" stroke-width="1.2">&lt;i&gt;<br></b>'
    assert element("meta", charset='"') == '<meta charset="&quot;">'
    assert escape("a\n\u202fb\ud800") == "a\n\u202fb\\ud800"
    assert (number(3.0), number(3.04), count(12345)) == ("3", "3", "12\u202f345")
    assert [figure_ms(value) for value in (0.123, 12.34, 123.4, 1234)] == [
        "0.12 ms", "12.3 ms", "123 ms", "1.23 s",
    ]  # fmt: skip
