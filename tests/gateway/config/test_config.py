"""Tests of make_config, read_key and restart_required."""

from __future__ import annotations

from pathlib import Path

import pytest

from undam.errors import UsageError
from undam.gateway.config.config import (
    make_config,
    read_key,
    restart_required,
    upstream_from_url,
)
from undam.gateway.process.files import make_upstreams

UPSTREAMS = (upstream_from_url("http://a:1"),)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"tls_cert": "c.pem"}, "tls_cert and tls_key must be set together"),
        ({"health_path": "health"}, "must begin with a slash"),
        ({"upstream_key": "sk-12345678901234"}, "use env:NAME or file:PATH"),
        ({"listen": ":8080"}, "use HOST:PORT"),
        ({"listen": "a:70000"}, "use HOST:PORT"),
        ({"cors_origins": ("app.example",)}, "use [*] or SCHEME://HOST"),
        ({"cors_origins": ("https://app.example/",)}, "without a path"),
        ({"cors_origins": ("https://*.app.example",)}, "never matches"),
        ({"cors_origins": ("https://App.example",)}, "never matches"),
        ({"cors_origins": ("https://app.example:443",)}, "without a default port"),
    ],
)
def test_invalid_combinations_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make_config(values, UPSTREAMS)
    assert "sk-123" not in str(caught.value)


def test_at_least_one_upstream_and_unique_names_are_required() -> None:
    with pytest.raises(UsageError, match="no upstream"):
        make_config({}, [])
    with pytest.raises(UsageError, match="two upstreams have the name 'a:1'"):
        make_config({}, [*UPSTREAMS, *UPSTREAMS])


def test_a_key_is_read_from_a_variable_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", " sk-1234 ")
    (tmp_path / "key").write_text("sk-5678\n")
    assert read_key("upstream_key", "env:UP_KEY") == "sk-1234"
    assert read_key("upstream_key", f"file:{tmp_path / 'key'}") == "sk-5678"
    assert read_key("upstream_key", "") == ""


def test_a_missing_or_invalid_key_is_refused_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("two words")
    for source in ("env:NO_SUCH_KEY", f"file:{tmp_path / 'key'}", f"file:{tmp_path / 'none'}"):
        with pytest.raises(UsageError, match="upstream_key") as caught:
            read_key("upstream_key", source)
        assert "two words" not in str(caught.value)


def test_changes_that_need_a_restart_are_named() -> None:
    old = make_config({}, UPSTREAMS)
    new = make_config({"workers": 2, "heartbeat": 1.0, "listen": "a:1"}, UPSTREAMS)
    assert restart_required(old, new) == ("listen", "workers")


@pytest.mark.parametrize(
    "origin", ["*", "null", "https://app.example:8443", "http://localhost:5173", "app://x:443"]
)
def test_origins_as_browsers_send_them_are_accepted(origin: str) -> None:
    assert make_config({"cors_origins": (origin,)}, UPSTREAMS).cors_origins == (origin,)


@pytest.mark.parametrize(
    "url", ["http://a/v1/chat/completions", "http://a/v1/messages/", "https://a/x/v1/responses"]
)
def test_the_url_of_an_endpoint_is_not_an_upstream(url: str) -> None:
    with pytest.raises(UsageError, match="not the URL of an endpoint"):
        make_config({}, [upstream_from_url(url)])


@pytest.mark.parametrize(
    ("base", "target", "forwarded"),
    [
        ("/v1", "/v1/models", "/v1/models"),
        ("/v1beta/openai", "/v1/chat/completions?a", "/v1beta/openai/chat/completions?a"),
        ("/v1/openai", "/v1/models", "/v1/openai/models"),
        ("/api/paas/v4", "/v1/chat/completions", "/api/paas/v4/chat/completions"),
        ("/api/paas/v4", "/v4/chat/completions", "/api/paas/v4/chat/completions"),
        ("/v1beta", "/v1beta/models/m:generateContent", "/v1beta/models/m:generateContent"),
        ("/v1", "/v2/rerank", "/v1/v2/rerank"),
        ("/v3", "/v1x/models", "/v3/v1x/models"),
        ("/openai", "/v1/models", "/openai/v1/models"),
        ("/client/v4/accounts/7/ai", "/v1/models", "/client/v4/accounts/7/ai/v1/models"),
        ("", "/v1/models", "/v1/models"),
    ],
)
def test_the_version_of_the_base_path_replaces_that_of_the_client(
    base: str, target: str, forwarded: str
) -> None:
    config = make_config({}, [upstream_from_url(f"http://a{base}")])
    [upstream] = make_upstreams(config)
    assert upstream.path_of(target) == forwarded
