"""What goes out for a call: URL, headers and body, by API."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from undam.client.call import ChatOptions, call_of, endpoint
from undam.client.conversation import library_for
from undam.errors import UsageError

_TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]


def _body(url: str, messages: Any, **options: Any) -> dict[str, Any]:
    made: ChatOptions = options  # type: ignore[assignment]
    body = json.loads(call_of(url, messages, "m", made).body)
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
def test_a_base_means_its_chat(url: str, expected: str) -> None:
    assert endpoint(url) == expected


@pytest.mark.parametrize("url", ["", "h/v1", "ftp://h/v1", "http:///v1", "http://[::1/v1"])
def test_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="is no http:// or https:// URL"):
        endpoint(url)


def test_a_refused_url_shows_no_password() -> None:
    with pytest.raises(UsageError) as caught:
        endpoint("ftp://me:secret-1@h/v1")
    assert "secret-1" not in str(caught.value)


def test_chat_takes_messages_as_they_are_and_more_fields() -> None:
    body = _body("http://h/v1", _TALK, max_tokens=5, body={"temperature": 0, "stream": False})
    assert body == {
        "model": "m", "messages": _TALK, "stream": True, "max_tokens": 5, "temperature": 0,
    }  # fmt: skip


def test_a_question_becomes_a_message() -> None:
    assert _body("http://h/v1", "hi")["messages"] == [{"role": "user", "content": "hi"}]
    assert _body("http://h/v1/responses", "hi")["input"] == "hi"
    assert _body("http://h/v1/completions", "hi")["prompt"] == "hi"


def test_responses_take_messages_as_input() -> None:
    assert _body("http://h/v1/responses", _TALK)["input"] == _TALK


def test_completions_take_a_prompt_only() -> None:
    with pytest.raises(UsageError, match="as one string"):
        _body("http://h/v1/completions", _TALK)


def test_anthropic_has_the_system_text_apart_and_needs_a_bound() -> None:
    body = _body("http://h/v1/messages", _TALK)
    assert body["system"] == [{"type": "text", "text": "Be brief."}]
    assert body["messages"] == _TALK[1:]
    assert body["max_tokens"] > 0
    assert "system" not in _body("http://h/v1/messages", _TALK[1:])


def test_an_api_may_be_named_for_any_path() -> None:
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
def test_headers_are_the_apis(url: str, name: str, value: str) -> None:
    assert call_of(url, "hi", "m", {"api_key": "k"}).headers[name] == value


def test_the_callers_headers_replace_ours_in_any_case() -> None:
    given = {"authorization": "Basic x", "X-Mine": "1"}
    headers = call_of("http://h/v1", "hi", "m", {"api_key": "k", "headers": given}).headers
    assert "Authorization" not in headers
    assert given.items() <= headers.items()


def test_a_call_shows_no_secret() -> None:
    call = call_of("http://me:pass-1@h/v1", "hello", "m", {"api_key": "key-1"})
    for secret in ("pass-1", "key-1", "hello"):
        assert secret not in repr(call)


def test_without_an_http_library_it_says_what_to_install(monkeypatch: Any) -> None:
    for name in ("httpx", "httpx2"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'undam\[client\]'"):
        library_for(None)


def test_importing_brings_no_http_library() -> None:
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
