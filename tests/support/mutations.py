"""Damaged configuration texts: parts of valid texts are removed, repeated, moved or inserted."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from undam.errors import ConfigSyntaxError
from undam.lint import Dialect, Settings, Source, fix_source, lint_source

_SPRINKLES = (
    *"{}[]()<>;:,#\"'\\$%&|*!?=@~^-\t\n\r \0",
    *(
        "\r\n",
        "\ufeff",
        "\u2028",
        "é",
        "{{",
        "}}",
        "${",
        "\\\n",
        "/*",
        "*/",
        "//",
        "- ",
        ": ",
        "&a",
    ),
    *("*a", "<<: *a", "---\n", "!!python/object:x ", "on", "off", "0", "-1", "1e999", "9" * 400),
)

_PLACE = st.floats(0, 1, exclude_max=True)
_CHANGE = st.one_of(
    st.tuples(st.just("cut"), _PLACE, _PLACE, st.just("")),
    st.tuples(st.just("double"), _PLACE, _PLACE, st.just("")),
    st.tuples(st.just("move"), _PLACE, _PLACE, st.just("")),
    st.tuples(st.just("put"), _PLACE, _PLACE, st.sampled_from(_SPRINKLES)),
    st.tuples(st.just("put"), _PLACE, _PLACE, st.text(max_size=3)),
    st.tuples(st.just("end"), _PLACE, _PLACE, st.just("")),
)


def damaged_texts(texts: Sequence[str]) -> st.SearchStrategy[str]:
    """Return a strategy that makes one to six changes to one of the texts."""
    changes = st.lists(_CHANGE, min_size=1, max_size=6)
    return st.builds(_damage, st.sampled_from(sorted(texts)), changes)


def _damage(text: str, changes: list[tuple[str, float, float, str]]) -> str:
    for kind, first, second, new in changes:
        start = int(first * (len(text) + 1))
        # Most changes affect a few characters; a few affect half of the text.
        end = start + int(second**4 * (len(text) - start + 1))
        part = text[start:end]
        if kind == "cut":
            text = text[:start] + text[end:]
        elif kind == "double":
            text = text[:end] + part + text[end:]
        elif kind == "move":
            rest = text[:start] + text[end:]
            at = int(second * (len(rest) + 1))
            text = rest[:at] + part + rest[at:]
        elif kind == "put":
            text = text[:start] + new + text[start:]
        else:
            text = text[:start]
    return text


def robustness_faults(dialect: Dialect, text: str, settings: Settings | None = None) -> list[str]:
    """Lint and fix a text that may be invalid; return the faults found in undam itself.

    Every reported position must be inside the text, and a fix must not make a valid text invalid
    (its ``ConfigSyntaxError`` is raised).
    """
    source, chosen = Source("whatever", text), settings or Settings()
    lines = text.count("\n") + 1
    try:
        found = lint_source(dialect, source, chosen)
    except ConfigSyntaxError as error:
        return (
            [] if 1 <= error.line <= lines and error.column >= 1 else [f"invalid position: {error}"]
        )
    outside = [
        f"{one.line}:{one.column} is not in the text"
        for one in found.diagnostics
        if not (1 <= one.line <= lines and 1 <= one.column <= len(source.line(one.line)) + 1)
    ]
    outside += [f"line {one.line}" for one in found.unread if not 1 <= one.line <= lines]
    fixed = fix_source(dialect, source, chosen, unsafe=True)
    lint_source(dialect, Source("whatever", fixed), chosen)
    return outside
