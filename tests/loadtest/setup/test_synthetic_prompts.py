"""Synthetic prompts are reproducible, distinct and bounded."""

from __future__ import annotations

from undam.loadtest.setup.synthetic_prompts import make_prompts
from undam.timing.distribution import parse_distribution


def test_prompts_are_seeded_distinct_and_bounded() -> None:
    prompts = make_prompts(100, None, 1)
    assert prompts == make_prompts(100, None, 1)
    assert len({prompt[:20] for prompt in prompts}) > 90, "no common prefix for a cache"
    lengths = {len(prompt.split()) for prompt in make_prompts(5, parse_distribution("40"), 1)}
    assert lengths == {40}
    assert len(make_prompts(10**9, None, 1)) <= 512
    long = make_prompts(100, parse_distribution("100000"), 1)
    assert 1 <= len(long) < 5
