"""Fixtures for servers that follow a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.scripted_server import Script, ScriptedServer


@pytest.fixture
def serve() -> Iterator[Callable[..., ScriptedServer]]:
    """Start a server that runs one script per connection: ``serve(script, …).url``."""
    running: list[ScriptedServer] = []

    def run(*scripts: Script) -> ScriptedServer:
        running.append(ScriptedServer(scripts))
        return running[-1]

    yield run
    for one in running:
        one.close()
