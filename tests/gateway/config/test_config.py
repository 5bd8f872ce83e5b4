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
