"""Markers make every request unique without changing its length."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from undam.apis import CHAT
from undam.loadtest.setup.prompts import Prompt, request_bodies
from undam.loadtest.setup.unique import PLACEHOLDER, mark_position, marked, request_mark

_RUNS = st.integers(0, (1 << 32) - 1)


@given(run=_RUNS, other=_RUNS, first=st.integers(0, 10**7))
def test_marks_differ_between_requests_and_runs(run: int, other: int, first: int) -> None:
    marks = {request_mark(run, number) for number in range(first, first + 200)}
    assert len(marks) == 200
    assert {len(mark) for mark in marks} == {len(PLACEHOLDER)}
    if run != other:
        assert marks.isdisjoint(request_mark(other, number) for number in range(first, first + 200))


def test_first_letters_differ_so_that_no_block_of_a_prefix_cache_is_shared() -> None:
    starts = {request_mark(7, number)[:3] for number in range(1000)}
    assert len(starts) > 900


def test_request_is_marked_inside_its_json_and_keeps_its_length() -> None:
    prompts = [Prompt(f'{PLACEHOLDER} say "hi" \u00e4'), Prompt("no placeholder")]
    with_mark, without = request_bodies(CHAT, prompts, models=["m"], max_tokens=None)
    position = mark_position(with_mark)
    sent = [marked(with_mark, position, 3, number) for number in range(3)]
    contents = [json.loads(body)["messages"][0]["content"] for body in sent]
    assert len(set(contents)) == 3
    assert all(content.endswith(' say "hi" \u00e4') for content in contents)
    assert {len(body) for body in sent} == {len(with_mark)}
    assert marked(without, mark_position(without), 3, 0) == without
