"""Members of a JSON object: small bodies, and bodies that arrive in pieces, give equal results."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from undam.gateway.body.json_scanner import JsonScanner, Opaque

_WANTED = frozenset({"model", "stream", "user", "n"})
_TEXTS = frozenset({"messages", "prompt"})

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "tool"]), "content": st.text(max_size=700)}
    )
    | _values,
    max_size=11,
)
_members = st.lists(
    st.tuples(st.sampled_from(["model", "stream", "user", "n", "x", 'mod"el']), _values)
    | st.tuples(st.sampled_from(["messages", "prompt"]), _messages | st.text(max_size=1500)),
    max_size=6,
)


def _body(members: list[tuple[str, object]], *, ascii_only: bool, space: str) -> bytes:
    """Encode an object that may have duplicate members."""
    parts = [
        f"{json.dumps(key)}{space}:{space}{json.dumps(value, ensure_ascii=ascii_only)}"
        for key, value in members
    ]
    return ("{" + f"{space},{space}".join(parts) + space + "}").encode("utf-8", "surrogatepass")


def _scan(*pieces: bytes) -> tuple[object, ...]:
    scanner = JsonScanner(_WANTED, _TEXTS)
    for piece in pieces:
        scanner.feed(piece)
    is_object = scanner.finish()
    return is_object, repr(scanner.members), scanner.spans, scanner.prefix_hash


def _pieces(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


@given(
    _members, st.booleans(), st.sampled_from(["", " ", "\n\t "]), st.sampled_from([1, 7, 100, 600]),
    st.integers(min_value=0, max_value=3000), st.binary(max_size=2),
)  # fmt: skip
@settings(max_examples=25, deadline=None)
@example([("x", "]")], True, "", 7, 0, b"")
def test_pieces_of_any_size_give_the_results_of_the_whole_body(
    members: list[tuple[str, object]], ascii_only: bool, space: str, size: int, at: int, dirt: bytes
) -> None:
    body = _body(members, ascii_only=ascii_only, space=space)
    for text in (body, body[:at] + dirt + body[at + 1 :], body + dirt):
        results = _scan(text), _scan(*_pieces(text, size))
        # Nested values are not validated, so only valid JSON has a defined result.
        if _is_json(text):
            assert results[0] == results[1]


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"model":"a","model":"b"}',
        b'{"model":{"a":1}}',
        b'{"model":"a","n":{}  ',
        b'{"model":"a","n":{}',
        b'{"model":"a",}',
        b'{"model":"a"} {"n":1}',
        b'{"model":"a" "n":1}',
        b'{"x":[1,]  ,"model":"a"}',
        b'{"model":"' + b"a" * 5000 + b'"}',
        b'{"model":"\xff"}',
        b'{"x":"\xff","model":"a"}',
        b'{"m\\u006fdel":"a"}',
        b'{"n":01}',
        b'{"x":01,"model":"a"}',
        b'{"n":1e999,"user":"\\ud800"}',
        b'{"x":"\n","model":"a"}',
        b'{"x":' + b"[" * 3000 + b"]" * 3000 + b"}",
        b"{" + b",".join(b'"%d":1' % number for number in range(1001)) + b"}",
        b'{"messages":[{"a":"' + b"x" * 504 + b'","role":"user"},{"b":1}]}',
        b'{"messages":[{"a":"' + b"x" * 700 + b'","role":"user","b":"' + b"y" * 700 + b'"},{}]}',
    ],
)  # fmt: skip
def test_unusual_bodies_give_the_same_results_whole_and_in_pieces(body: bytes) -> None:
    assert _scan(body) == _scan(*_pieces(body, 3)) == _scan(*_pieces(body, 500))


def test_members_are_returned_with_their_positions() -> None:
    body = b'{"messages": [{"role": "user"}], "model": "\\u00e4", "n": 2, "user": ["x"]}'
    scanner = JsonScanner(_WANTED, _TEXTS)
    scanner.feed(body)
    assert scanner.finish()
    assert scanner.members == {"model": "ä", "n": 2, "user": Opaque.NESTED}
    assert {name: body[slice(*span)] for name, span in scanner.spans.items()} == {
        "model": b'"\\u00e4"', "n": b"2",
    }  # fmt: skip


def test_messages_after_the_first_one_by_a_user_do_not_change_the_checksum() -> None:
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    later = [*first, {"role": "assistant", "content": "a" * 20_000}, {"role": "user"}]
    hashes = {_scan(json.dumps({"messages": one}).encode())[3] for one in (first, later)}
    assert len(hashes) == 1
    assert hashes != {0}
