"""pytest fixture ``open_stream``. No other module imports pytest.

    # conftest.py
    pytest_plugins = ["undam.testing.pytest_plugin"]

    def test_chat(open_stream):
        stream = open_stream(app, "/chat")
        assert stream.take(1)[0].data == "Hello"

Every stream is closed at the end of the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from undam.testing import client


@pytest.fixture
def open_stream() -> Iterator[Callable[..., client.StreamClient]]:
    """Return `undam.testing.open_stream` as a plain function, which does not require ``with``."""
    with ExitStack() as streams:

        def opened(*args: Any, **options: Any) -> client.StreamClient:
            return streams.enter_context(client.open_stream(*args, **options))

        yield opened
