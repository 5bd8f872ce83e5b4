"""Wrapper for openai-python clients, which fail on the heartbeats of some servers.

`undam.client.sdks` has the wrappers for other libraries.
"""

from __future__ import annotations

from typing import TypeVar

from undam.client.sdks import with_tolerant_client
from undam.client.tolerant import HeartbeatFilter, tolerant

Client = TypeVar("Client")

__all__ = ["HeartbeatFilter", "stream_of", "tolerant"]


def stream_of(client: Client) -> Client:
    """Return a copy of an OpenAI, AsyncOpenAI, Azure or Anthropic client that tolerates heartbeats.

    The copy sends its requests through the original client, so the original's proxies, limits and
    hooks apply. Close the original when neither client is needed any more.

        client = undam.client.openai.stream_of(openai.OpenAI())
        for chunk in client.chat.completions.create(model="m", messages=[…], stream=True): ...

    Raises:
        UsageError: ``client`` is not a client of openai-python or anthropic.
    """
    return with_tolerant_client(client, ("openai", "anthropic"), "stream_of()")
