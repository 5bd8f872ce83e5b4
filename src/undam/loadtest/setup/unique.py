"""Mark that makes the prompt of each request unique. No I/O.

Servers keep the prefixes of earlier prompts, and a prompt that was sent before needs no prefill.
Each generated prompt therefore contains a placeholder, and the worker replaces it in each request
by a mark that depends on the run and on the number of the request. Both have the same length, so
the rest of the request does not change.
"""

from __future__ import annotations

PLACEHOLDER = "undamrequestmark"
"""Placeholder in a prompt; ASCII letters, so that JSON does not change it."""

RUN_PLACEHOLDER = "undamloadrunmark"
"""Placeholder for a mark that all requests of a run have in common."""

_PLACEHOLDER_BYTES = PLACEHOLDER.encode()
_RUN_PLACEHOLDER_BYTES = RUN_PLACEHOLDER.encode()
# There are more than enough marks, because 26 ** 8 exceeds the number of run IDs and request
# numbers.
_HALF = len(PLACEHOLDER) // 2
_MASK = (1 << 32) - 1
_RUN_FACTOR = 0x9E3779B1


def mark_position(request: bytes) -> int:
    """Return the position of the placeholder in an encoded request; -1 if there is none."""
    position = request.find(_PLACEHOLDER_BYTES)
    return request.find(_RUN_PLACEHOLDER_BYTES) if position < 0 else position


def marked(request: bytes, position: int, run: int, number: int) -> bytes:
    """Return ``request`` with the request's mark at ``position``; unchanged if that is -1."""
    if position < 0:
        return request
    end = position + len(_PLACEHOLDER_BYTES)
    of_run = request[position:end] == _RUN_PLACEHOLDER_BYTES
    return request[:position] + request_mark(run, 0 if of_run else number) + request[end:]


def request_mark(run: int, number: int) -> bytes:
    """Return the mark for request ``number`` in a run, as letters.

    Successive numbers have different first letters, and therefore different first tokens.
    """
    return _letters(_mixed(number + run * _RUN_FACTOR)) + _letters(run & _MASK)


def _mixed(value: int) -> int:
    """Mix the 32 bits of ``value`` reversibly, as the finalizer of MurmurHash3 does."""
    value &= _MASK
    value = ((value ^ (value >> 16)) * 0x85EBCA6B) & _MASK
    value = ((value ^ (value >> 13)) * 0xC2B2AE35) & _MASK
    return value ^ (value >> 16)


def _letters(value: int) -> bytes:
    found = bytearray()
    for _ in range(_HALF):
        value, digit = divmod(value, 26)
        found.append(97 + digit)
    return bytes(found)
