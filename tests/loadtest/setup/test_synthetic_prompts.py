"""Synthetic prompts are reproducible, distinct and bounded, and can share a prefix."""

from __future__ import annotations

from itertools import pairwise

import pytest

from undam.loadtest.setup.synthetic_prompts import make_prompts
from undam.loadtest.setup.unique import PLACEHOLDER
from undam.timing.distribution import parse_distribution


def test_prompts_are_seeded_distinct_and_bounded() -> None:
    prompts = make_prompts(100, None, 1)
    assert prompts == make_prompts(100, None, 1)
    assert all(prompt.startswith(PLACEHOLDER) for prompt in prompts)
    assert len(set(prompts)) == 100
    lengths = {len(prompt.split()) for prompt in make_prompts(5, parse_distribution("40"), 1)}
    assert lengths == {40}
    assert len(make_prompts(10**9, None, 1)) <= 512
    long = make_prompts(100, parse_distribution("100000"), 1)
    assert 1 <= len(long) < 5


@pytest.mark.parametrize(("share", "common"), [(0.0, 0), (0.25, 10), (0.6, 24), (1.0, 40)])
def test_prompts_share_the_requested_part_of_their_words(share: float, common: int) -> None:
    prompts = [p.split() for p in make_prompts(20, parse_distribution("40"), 1, share)]
    assert {len(words) for words in prompts} == {40}
    assert len({tuple(words[:common]) for words in prompts}) == 1
    if common < 40:
        assert {words[common] for words in prompts} == {PLACEHOLDER}
        assert len({tuple(words[common + 1 :]) for words in prompts}) == 20


def test_shared_part_of_a_longer_prompt_begins_with_that_of_a_shorter_one() -> None:
    prompts = make_prompts(10, parse_distribution("uniform(10,200)"), 1, 0.5)
    shared = sorted((prompt.partition(f" {PLACEHOLDER}")[0] for prompt in prompts), key=len)
    assert all(long.startswith(short) for short, long in pairwise(shared))
