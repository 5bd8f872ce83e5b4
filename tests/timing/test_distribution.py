"""Random distributions: accepted syntax, rejected syntax, and properties of samples."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import UsageError
from undam.timing.distribution import Distribution, constant, parse_distribution


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("25", Distribution("constant", 25)),
        (" 0.5 ", Distribution("constant", 0.5)),
        ("0.123456789", Distribution("constant", 0.123456789)),
        ("constant(3)", Distribution("constant", 3)),
        ("lognormal(200,0.3)", Distribution("lognormal", 200, 0.3)),
        ("LogNormal( 200 , 0.3 )", Distribution("lognormal", 200, 0.3)),
        ("exp(20)", Distribution("exp", 20)),
        ("uniform(10,30)", Distribution("uniform", 10, 30)),
        (
            " Mix( 0.03 , 2000, lognormal(50,0.3) )",
            Distribution("mix", 0.03, parts=(constant(2000), Distribution("lognormal", 50, 0.3))),
        ),
    ],
)
def test_all_forms_are_parsed(text: str, expected: Distribution) -> None:
    assert parse_distribution(text) == expected
    assert parse_distribution(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "fast", "normal(1,2)", "exp()", "exp(1,2)", "lognormal(1)", "uniform(1)", "constant(1,2)",
     "exp(1", "exp(a)", "uniform(1,2,3)", "exp((1))", "mix(0.5,1)", "mix(0.5,1,2,3)", "mix()",
     "mix(0.5,1,exp())", "mix(0.5,1,mix(0.5,1,2))", "mix(1,2)exp(1)"],
)  # fmt: skip
def test_error_lists_the_accepted_forms(text: str) -> None:
    with pytest.raises(UsageError, match=r"number.*lognormal\(MEDIAN,SIGMA\).*uniform\(LO,HI\)"):
        parse_distribution(text)


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "1e10", "exp(-3)", "uniform(-1,2)"])
def test_numbers_out_of_range_are_rejected(text: str) -> None:
    with pytest.raises(UsageError, match="from 0 to"):
        parse_distribution(text)


def test_invalid_parameters_are_rejected() -> None:
    with pytest.raises(UsageError, match="LO must not be above HI"):
        parse_distribution("uniform(3,2)")
    with pytest.raises(UsageError, match="SIGMA must be at most 10"):
        parse_distribution("lognormal(1,11)")
    with pytest.raises(UsageError, match="SHARE must be from 0 to 1"):
        parse_distribution("mix(3,2000,50)")


def test_constant_checks_its_value() -> None:
    assert constant(7).sample(random.Random(1)) == 7
    with pytest.raises(UsageError):
        constant(math.nan)


def test_samples_have_the_requested_location() -> None:
    rng = random.Random(7)

    def samples(text: str) -> list[float]:
        distribution = parse_distribution(text)
        return [distribution.sample(rng) for _ in range(4000)]

    assert statistics.median(samples("lognormal(200,0.3)")) == pytest.approx(200, rel=0.05)
    assert statistics.mean(samples("exp(20)")) == pytest.approx(20, rel=0.1)
    spread = samples("uniform(10,30)")
    assert 10 <= min(spread) < 11
    assert 29 < max(spread) <= 30


_NUMBER = st.floats(0, 1e9)


@given(
    st.one_of(
        st.builds(Distribution, st.just("constant"), _NUMBER),
        st.builds(Distribution, st.just("exp"), _NUMBER),
        st.builds(Distribution, st.just("lognormal"), _NUMBER, st.floats(0, 10)),
        st.tuples(_NUMBER, _NUMBER).map(lambda two: Distribution("uniform", min(two), max(two))),
    ),
    st.integers(),
)
def test_samples_are_finite_and_not_negative(made: Distribution, seed: int) -> None:
    value = made.sample(random.Random(seed))
    assert value >= 0
    assert math.isfinite(value)


def test_mix_draws_its_share_from_the_first_part() -> None:
    made, rng = parse_distribution("mix(0.03,2000,uniform(40,60))"), random.Random(5)
    values = [made.sample(rng) for _ in range(10_000)]
    assert values.count(2000) == pytest.approx(300, rel=0.2)
    assert all(value == 2000 or 40 <= value <= 60 for value in values)
    nothing, rng_ = parse_distribution("mix(0,2000,0)"), random.Random(5)
    assert {nothing.sample(rng_) for _ in range(100)} == {0}


def test_same_seed_gives_the_same_samples() -> None:
    made = parse_distribution("exp(20)")
    one, two = random.Random(3), random.Random(3)
    assert [made.sample(one) for _ in range(5)] == [made.sample(two) for _ in range(5)]
