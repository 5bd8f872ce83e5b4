"""Functions that make clients of model API libraries tolerate heartbeats, one per library.

Each function returns arguments for the constructor of its library, or a tolerant client.
docs/client.md lists the streams on which each library fails otherwise. No library is imported or
patched.
"""

from __future__ import annotations

import copy
import importlib
from typing import Any, TypeVar

from undam.client.responses import library_of
from undam.client.tolerant import tolerant
from undam.errors import UsageError

Client = TypeVar("Client")


def openai(client: Client) -> Client:
    """Return a copy of an OpenAI, AsyncOpenAI or Azure client that tolerates every heartbeat.

    Raises:
        UsageError: ``client`` is not a client of openai-python.
    """
    return with_tolerant_client(client, ("openai",), "sdks.openai()")


def anthropic(client: Client) -> Client:
    """Return a copy of an Anthropic or AsyncAnthropic client that tolerates every heartbeat.

    Raises:
        UsageError: ``client`` is not a client of anthropic.
    """
    return with_tolerant_client(client, ("anthropic",), "sdks.anthropic()")


def langchain_openai() -> dict[str, Any]:
    """Return arguments for ``ChatOpenAI(**langchain_openai(), model=…)``."""
    return _pair("http_client", "http_async_client")


def google_genai() -> dict[str, Any]:
    """Return arguments for ``genai.Client(http_options=types.HttpOptions(**google_genai()))``."""
    return _pair("httpx_client", "httpx_async_client")


def mistralai() -> dict[str, Any]:
    """Return arguments for ``Mistral(**mistralai(), api_key=…)``."""
    return _pair("client", "async_client", follow_redirects=True)


def cohere(client: Client) -> Client:
    """Make a cohere ``ClientV2`` or ``AsyncClientV2`` tolerate every heartbeat, and return it.

    Raises:
        UsageError: ``client`` is not a client of cohere.
    """
    wrapper: Any = getattr(client, "_client_wrapper", None)
    inner: Any = getattr(wrapper, "httpx_client", None)
    if library_of(client, ("cohere",)) is None or not hasattr(inner, "httpx_client"):
        raise UsageError(f"sdks.cohere() requires a cohere client, not {type(client)!r}")
    # A copy would share this wrapper object, so the client is changed in place.
    inner.httpx_client = tolerant(inner.httpx_client)
    return client


def ollama(client: Client) -> Client:
    """Return a copy of an ollama ``Client`` or ``AsyncClient`` that tolerates blank lines.

    Raises:
        UsageError: ``client`` is not a client of ollama.
    """
    inner = getattr(client, "_client", None)
    if library_of(client, ("ollama",)) is None or inner is None:
        raise UsageError(f"sdks.ollama() requires an ollama client, not {type(client)!r}")
    changed = copy.copy(client)
    changed._client = tolerant(inner)  # type: ignore[attr-defined]
    return changed


def with_tolerant_client(client: Client, libraries: tuple[str, ...], what: str) -> Client:
    """Return a copy of an SDK's client, made by its method ``with_options``.

    Raises:
        UsageError: ``client`` is of another library; ``what`` names the function.
    """
    inner, copied = getattr(client, "_client", None), getattr(client, "with_options", None)
    if copied is None or library_of(client, libraries) is None:
        names = " or ".join("openai-python" if one == "openai" else one for one in libraries)
        raise UsageError(f"{what} requires a client from {names}, not {type(client)!r}")
    changed: Client = copied(http_client=tolerant(inner))
    return changed


def _pair(name: str, async_name: str, **options: Any) -> dict[str, Any]:
    library = importlib.import_module("httpx")
    return {
        name: tolerant(library.Client(timeout=None, **options)),
        async_name: tolerant(library.AsyncClient(timeout=None, **options)),
    }
