"""Requests for chat calls: URL, headers and body for each API."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from undam.client.chat_request import ChatOptions, build_request, endpoint
from undam.client.chat_session import library_for
from undam.errors import UsageError

_MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


def _body(url: str, messages: Any, **options: Any) -> dict[str, Any]:
    made: ChatOptions = options  # type: ignore[assignment]
    body = json.loads(build_request(url, messages, "m", made).body)
    assert isinstance(body, dict)
    return body


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", "http://h/v1/chat/completions"),
        ("http://h/", "http://h/v1/chat/completions"),
        ("https://h/x/v1/?a=b", "https://h/x/v1/chat/completions?a=b"),
        ("http://h/v1/messages", "http://h/v1/messages"),
        ("http://h/events", "http://h/events"),
    ],
)
def test_a_base_url_gets_the_chat_path(url: str, expected: str) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize("url", ["", "h/v1", "ftp://h/v1", "http:///v1", "http://[::1/v1"])
def test_an_invalid_url_is_rejected(url: str) -> None:
    with pytest.raises(UsageError, match="is not an http:// or https:// URL"):
        endpoint(url)


def test_the_error_for_a_url_hides_its_password() -> None:
    with pytest.raises(UsageError) as caught:
        endpoint("ftp://me:secret-1@h/v1")
    assert "secret-1" not in str(caught.value)


def test_chat_messages_are_unchanged_and_fields_are_added() -> None:
    body = _body("http://h/v1", _MESSAGES, max_tokens=5, body={"temperature": 0, "stream": False})
    assert body == {
        "model": "m", "messages": _MESSAGES, "stream": True, "max_tokens": 5, "temperature": 0,
    }  # fmt: skip


def test_a_string_becomes_a_user_message() -> None:
    assert _body("http://h/v1", "hi")["messages"] == [{"role": "user", "content": "hi"}]
    assert _body("http://h/v1/responses", "hi")["input"] == "hi"
    assert _body("http://h/v1/completions", "hi")["prompt"] == "hi"


def test_responses_api_receives_messages_as_input() -> None:
    assert _body("http://h/v1/responses", _MESSAGES)["input"] == _MESSAGES


def test_completions_api_rejects_messages() -> None:
    with pytest.raises(UsageError, match="as one string"):
        _body("http://h/v1/completions", _MESSAGES)


def test_anthropic_body_has_a_system_field_and_max_tokens() -> None:
    body = _body("http://h/v1/messages", _MESSAGES)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert body["messages"] == _MESSAGES[1:]
    assert body["max_tokens"] > 0
    assert "system" not in _body("http://h/v1/messages", _MESSAGES[1:])


def test_the_api_option_works_for_any_path() -> None:
    assert "input" in _body("http://h/proxy", "hi", api="openai-responses")


@pytest.mark.parametrize(
    ("url", "name", "value"),
    [
        ("http://h/v1", "Authorization", "Bearer k"),
        ("http://h/v1/messages", "x-api-key", "k"),
        ("http://h/v1/messages", "anthropic-version", "2023-06-01"),
        ("http://h/v1", "Accept-Encoding", "identity"),
    ],
)
def test_headers_depend_on_the_api(url: str, name: str, value: str) -> None:
    assert build_request(url, "hi", "m", {"api_key": "k"}).headers[name] == value


def test_given_headers_replace_defaults_ignoring_case() -> None:
    given = {"authorization": "Basic x", "X-Mine": "1"}
    headers = build_request("http://h/v1", "hi", "m", {"api_key": "k", "headers": given}).headers
    assert "Authorization" not in headers
    assert given.items() <= headers.items()


def test_repr_contains_no_secret() -> None:
    call = build_request("http://me:pass-1@h/v1", "hello", "m", {"api_key": "key-1"})
    for secret in ("pass-1", "key-1", "hello"):
        assert secret not in repr(call)


def test_a_missing_http_library_names_the_extra(monkeypatch: Any) -> None:
    for name in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'undam\[client\]'"):
        library_for(None)


def test_importing_loads_no_http_library() -> None:
    program = (
        "import sys, undam.client, undam.client.openai, undam.client.otel;"
        "found = {name.partition('.')[0] for name in sys.modules};"
        "print(*sorted(found & {'httpx', 'httpx2', 'requests', 'urllib3', 'aiohttp', 'openai',"
        " 'anyio', 'asyncio', 'opentelemetry'}))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == ""
