"""Parsing of request options: headers, files, and curl commands."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from undam.errors import UsageError
from undam.probe.curl.command import CurlCommand, parse_curl

# Real prompts and curl commands are smaller than this.
_MAX_DATA_BYTES = 16 << 20


def parse_header(text: str, option: str = "-H") -> tuple[str, str]:
    """Split ``'Name: value'`` into name and value.

    Raises:
        UsageError: the text has no colon. It is not repeated, because it may be a key.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UsageError(
            f"{option}: expected 'Name: value', such as -H 'Authorization: Bearer KEY'"
        )
    return name.strip(), value.strip()


def read_given(text: str, option: str) -> bytes:
    """Return the content of the file for ``@FILE``, or of standard input for ``@-``.

    Raises:
        UsageError: the file cannot be read, or is too large.
    """
    try:
        if text == "@-":
            body = sys.stdin.buffer.read(_MAX_DATA_BYTES + 1)
        else:
            with Path(text[1:]).open("rb") as file:
                body = file.read(_MAX_DATA_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"{option} {text}: {reason}") from None
    if len(body) > _MAX_DATA_BYTES:
        raise UsageError(f"{option} {text}: larger than {_MAX_DATA_BYTES >> 20} MB")
    return body


def text_or_file(text: str, option: str) -> bytes:
    """Return the text as bytes, or the content of the file if the text is ``@FILE``."""
    if text.startswith("@"):
        return read_given(text, option)
    return text.encode("utf-8", "surrogateescape")


def read_curl(text: str, environ: Mapping[str, str], option: str) -> CurlCommand:
    """Parse a curl command, or a file that contains one.

    Raises:
        UsageError: the command cannot be used.
    """
    if text.startswith("@"):
        text = read_given(text, option).decode("utf-8", "replace")
    return parse_curl(
        text, environ=environ, read_file=lambda name: read_given(f"@{name}", f"{option}: -d")
    )
