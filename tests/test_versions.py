"""Product versions: parsing, order, series, ranges, and the recorded changes of defaults."""

from __future__ import annotations

import pytest

from undam.intermediaries import INTERMEDIARIES
from undam.versions import CHANGES, NGINX_UPSTREAM_HTTP11, DefaultChange, Version, VersionRange


def version(text: str) -> Version:
    parsed = Version.parse(text)
    assert parsed is not None
    return parsed


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1.29.7", (1, 29, 7)),
        ("v2.11", (2, 11)),
        ("nginx/1.22.1", (1, 22, 1)),
        ("3.5-dev5", (3, 5)),
        ("1.22.1-9+deb12u11", (1, 22, 1)),
        ("10", (10,)),
        ("go 1.19", (1, 19)),
    ],
)
def test_the_first_version_in_a_text_is_parsed(text: str, numbers: tuple[int, ...]) -> None:
    assert version(text).numbers == numbers


@pytest.mark.parametrize("text", ["", "latest", "x" * 100 + "1.2", "..."])
def test_text_without_a_version_gives_none(text: str) -> None:
    assert Version.parse(text) is None


def test_versions_are_ordered_by_number_and_not_by_text() -> None:
    ordered = ["1.9", "1.10", "1.29.7", "1.30", "2", "10.2"]
    assert sorted(ordered, key=version) == ordered


@pytest.mark.parametrize(
    ("text", "contains", "overlaps"),
    [
        ("1.22", True, True),
        ("1.29.6", True, True),
        ("1.29", False, True),  # version series with releases on both sides of the bound
        ("1", False, True),
        ("1.29.7", False, False),
        ("1.31", False, False),
    ],
)
def test_range_below_a_bound(text: str, contains: bool, overlaps: bool) -> None:
    below = NGINX_UPSTREAM_HTTP11.before
    assert (below.contains(version(text)), below.overlaps(version(text))) == (contains, overlaps)


@pytest.mark.parametrize(
    ("text", "contains", "overlaps"),
    [("1.29.6", False, False), ("1.29", False, True), ("1.29.7", True, True), ("2", True, True)],
)
def test_range_from_a_bound(text: str, contains: bool, overlaps: bool) -> None:
    onwards = NGINX_UPSTREAM_HTTP11.onwards
    assert onwards.contains(version(text)) is contains
    assert onwards.overlaps(version(text)) is overlaps


def test_a_range_with_two_bounds_and_one_without() -> None:
    between = VersionRange("1.8", "2")
    assert [between.contains(version(text)) for text in ("1.7", "1.8", "1.99", "2")] == [
        False, True, True, False
    ]  # fmt: skip
    assert VersionRange().contains(version("0"))
    assert VersionRange().overlaps(version("9"))


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        (VersionRange(), "every version"),
        (VersionRange("1.2"), "from 1.2"),
        (VersionRange(until="3"), "before 3"),
        (VersionRange("1.2", "3"), "from 1.2, before 3"),
    ],
)
def test_a_range_reads_as_a_phrase(bounds: VersionRange, text: str) -> None:
    assert str(bounds) == text


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: f"{change.program}-{change.since}")
def test_a_change_names_a_known_program_and_a_source(change: DefaultChange) -> None:

    assert change.program in {one.name for one in INTERMEDIARIES}
    assert str(version(change.since)) == change.since
    assert change.what.endswith(".")
    assert change.source
