"""Tests for streaming endpoints: an in-process client that reads events and disconnects.

    from undam.testing import open_stream

    def test_the_source_is_cancelled_when_the_client_leaves():
        with open_stream(app, "/chat", json={"prompt": "hi"}) as stream:
            assert stream.take(3)[0].data == "Hello"
            stream.leave()
            assert stream.reason == "client-left"

No server, no thread and no waiting: time is virtual, so a heartbeat of 15 s arrives at once. pytest
has the fixture ``open_stream``, see `undam.testing.pytest_plugin`.
"""

from undam.testing.client import StreamClient, open_stream
from undam.testing.virtual_time import VirtualTimeLoop

__all__ = ["StreamClient", "VirtualTimeLoop", "open_stream"]
