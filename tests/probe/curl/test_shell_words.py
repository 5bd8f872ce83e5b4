"""Splitting a command line into words as a shell would."""

from __future__ import annotations

import contextlib
import random
import shlex
import string

import pytest

from undam.errors import UsageError
from undam.probe.curl.shell_words import shell_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a  b\tc\nd", ["a", "b", "c", "d"]),
        ("a'b c'\"d e\"f", ["ab cd ef"]),
        (r"a\ b \'c\'", ["a b", "'c'"]),
        ("a \\\n  b", ["a", "b"]),
        ("a\\\r\nb", ["ab"]),
        ("'a\\\nb'", ["a\\\nb"]),
        ('"a\\\nb\\"c\\x"', ['ab"c\\x']),
        ("'' \"\"", ["", ""]),
        ("$V ${V}x \"$V\" '$V' \\$V", ["1 2", "1 2x", "1 2", "$V", "$V"]),
        (r"$'\t\x41\u00e9\101\'\\\q\U0001F600'", ["\tA\u00e9A'\\q\U0001f600"]),
        ("$'\\UFFFFFFFF'", [""]),
        ("a?b=1&c=2", ["a?b=1&c=2"]),
        ("a & b", ["a"]),
        ("a|b", ["a"]),
        ("price $5", ["price", "$5"]),
        ("a \\", ["a", "\\"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert shell_words(text, {"V": "1 2"}) == words


def test_the_words_that_shlex_quotes_come_back() -> None:
    source = random.Random(1)
    characters = string.printable + "\u00e9\U0001f600"
    for _ in range(300):
        words = ["".join(source.choices(characters, k=source.randint(0, 9))) for _ in range(4)]
        assert shell_words("curl " + shlex.join(words), {}) == ["curl", *words]


def test_any_text_gives_words_or_a_usage_error() -> None:
    source = random.Random(2)
    for _ in range(2000):
        text = "".join(source.choices("a'\"\\$^\n |&;{}u0", k=source.randint(0, 12)))
        with contextlib.suppress(UsageError):
            assert all(isinstance(word, str) for word in shell_words(text, {}))
