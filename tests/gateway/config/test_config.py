"""Configuration: what is read, and every mistake with its key, its line and the way out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from undam.errors import ConfigSyntaxError, UsageError
from undam.gateway.config.config import (
    Config,
    UpstreamConfig,
    changes,
    make_config,
    read_key,
    upstream_from_url,
)
from undam.gateway.config.options import BY_NAME, OPTIONS, read_text, read_value
from undam.gateway.config.toml import parse_config

ONE = (upstream_from_url("http://a:1"),)

WHOLE = """
# a gateway
listen = "0.0.0.0:8080"
hedge = "auto"           # or milliseconds
idle_timeout = 60
hedge_paths = ["/chat/completions"]
tell_incomplete = true
metrics = false

[[upstream]]
url = "http://one.test:8000/v1/"
max_streams = 32

[[upstream]]
name = "spare"
"url" = "https://two.test"
"""


def test_a_file_is_read_and_defaults_fill_the_rest() -> None:
    values, upstreams = parse_config(WHOLE, "g.toml")
    config = make_config(values, upstreams)
    assert config.upstreams == (
        UpstreamConfig("http://one.test:8000/v1/", "one.test:8000/v1", 32),
        UpstreamConfig("https://two.test", "spare"),
    )
    assert (config.hedge, config.metrics, config.hedge_paths) == (
        "auto", "off", ("/chat/completions",),
    )  # fmt: skip
    assert config.address == ("0.0.0.0", 8080)
    assert config.limits == {"one.test:8000/v1": 32, "spare": 0}
    assert config.request_limits.idle_timeout_s == 60
    assert config.request_limits.ttft_timeout_s is None
    assert config.hedge_limits.mode == "auto"
    assert dataclasses.replace(config, hedge=150.0).hedge_limits.fixed_s == 0.15


@pytest.mark.parametrize("text", ['upstream = "http://a:1"', 'upstream = ["http://a:1"]'])
def test_upstreams_are_named_in_any_way(text: str) -> None:
    assert parse_config(text, "g.toml")[1] == list(ONE)


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("\nheart_beat = 5", (2, 1), "did you mean heartbeat?"),
        ("x = 1\nheart-beat = 5", (1, 1), "there is no key 'x'; there are access_log"),
        ("a.b = 5", (1, 1), "no key 'a'"),
        ("[hedge]\nmode = 1", (1, 2), "hedge takes off, auto or a number of milliseconds"),
        ('\n\nheartbeat = "5"', (3, 1), "heartbeat takes a number of seconds from 0 to 3600, not"),
        ("heartbeat = -1", (1, 1), "heartbeat takes a number of seconds from 0 to 3600"),
        ("heartbeat = nan", (1, 1), "heartbeat takes"),
        ("heartbeat = true", (1, 1), "not a switch"),
        ("workers = 1.5", (1, 1), "workers takes a whole number"),
        ("workers = 0", (1, 1), "from 1 to 256"),
        ("retries = true", (1, 1), "retries takes a whole number from 0 to 16"),
        ("hedge = 'yes'", (1, 1), "hedge takes off, auto"),
        ("hedge = 0", (1, 1), "hedge takes off, auto"),
        ("hedge_paths = []", (1, 1), "a list of texts"),
        ("hedge_paths = [1]", (1, 1), "a list of texts"),
        ("metrics = 'maybe'", (1, 1), "metrics takes on or off"),
        ("keys = 2026-01-01", (1, 1), "keys takes a text, not a date"),
        ("keys = 'a\\nb'\nqueue = 3\nlisten = 'x'", (3, 1), "give HOST:PORT"),
        ('keys = "a\\nb"', (1, 1), "a control character"),
        ("listen = '::1:80'", (1, 1), "[IPv6]:PORT"),
        ("upstream = 5", (1, 1), "upstream takes a URL, a list of URLs, or tables"),
        ("upstream = []", (1, 1), "name one at least"),
        ("upstream = [\n'http://a:1',\n'ftp://a']", (3, 1), "only http:// and https://"),
        ("[[upstream]]\nurl = 'http://a'\nmax_stream = 3", (3, 1), "did you mean max_streams?"),
        ("[[upstream]]\nname = 'a'", (1, 1), "this upstream has no url"),
        ("[[upstream]]\nurl = 'http://u:secret@a'", (2, 1), "no user name or key"),
        ("[[upstream]]\n\nurl = 'http://a/?key=secret'", (3, 1), "has no query"),
        ("[[upstream]]\nurl = 'ftp://a/?key=secret'", (2, 1), "only http:// and https://"),
        ("upstream = ['http://a', 'http://a/']", (1, 25), "two upstreams are called 'a'"),
        ("heartbeat = ", (1, 13), "not TOML"),
        ("heartbeat = 1\nheartbeat = 2", (2, 14), "not TOML"),
    ],
)
def test_each_mistake_is_told_with_its_place(text: str, place: tuple[int, int], words: str) -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        parse_config(text, "g.toml")
    assert words in str(caught.value)
    assert (caught.value.line, caught.value.column) == place
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tls_cert": "c.pem"}, "tls_cert and tls_key go together"),
        ({"health_path": "health"}, "begins with a slash"),
        ({"upstream_key": "sk-12345678901234"}, "give env:NAME or file:PATH"),
        ({"listen": ":8080"}, "give HOST:PORT"),
        ({"listen": "a:70000"}, "give HOST:PORT"),
    ],
)
def test_what_does_not_go_together_is_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make_config(values, ONE)
    assert "sk-123" not in str(caught.value)


def test_at_least_one_upstream_and_no_two_of_one_name() -> None:
    with pytest.raises(UsageError, match="no upstream"):
        make_config({}, [])
    with pytest.raises(UsageError, match="two upstreams are called 'a:1'"):
        make_config({}, [*ONE, *ONE])


def test_every_option_is_a_field_and_its_default_can_be_given() -> None:
    names = {field.name for field in dataclasses.fields(Config)}
    assert {option.name for option in OPTIONS} | {"upstreams"} == names
    config = make_config({}, ONE)
    for option in OPTIONS:
        if option.default != "":
            given = list(option.default) if option.kind == "texts" else option.default
            assert read_value(option, given) == getattr(config, option.name)
        assert option.meaning.endswith(".")


def test_the_manual_names_every_option() -> None:
    manual = (Path(__file__).parents[3] / "docs" / "gateway.md").read_text(encoding="utf-8")
    assert [option.name for option in OPTIONS if f"`{option.name}`" not in manual] == []
    fixed = {option.name for option in OPTIONS if not option.live}
    marked = [line for line in manual.splitlines() if line.startswith("| `") and "¹" in line]
    assert {name for name in fixed if any(f"`{name}`" in line for line in marked)} == fixed


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("heartbeat", "0.5", 0.5),
        ("workers", "4", 4),
        ("hedge", "auto", "auto"),
        ("hedge", "150", 150.0),
        ("hedge_paths", "/a, /b,", ("/a", "/b")),
        ("metrics", "off", "off"),
        ("keys", "k.txt", "k.txt"),
    ],
)
def test_flags_are_read_as_toml_is(name: str, text: str, value: object) -> None:
    assert read_text(BY_NAME[name], text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("heartbeat", "often"), ("heartbeat", "nan"), ("workers", "-1"), ("workers", "1.0"),
     ("workers", "9" * 30), ("hedge", "maybe"), ("hedge", "-5"), ("metrics", "true")],
)  # fmt: skip
def test_flags_are_refused_in_the_words_of_the_file(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^takes {BY_NAME[name].wants[:12]}"):
        read_text(BY_NAME[name], text)


def test_a_key_stands_in_a_variable_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UP_KEY", " sk-1234 ")
    (tmp_path / "key").write_text("sk-5678\n")
    assert read_key("upstream_key", "env:UP_KEY") == "sk-1234"
    assert read_key("upstream_key", f"file:{tmp_path / 'key'}") == "sk-5678"
    assert read_key("upstream_key", "") == ""
    (tmp_path / "key").write_text("two words")
    for place in ("env:NO_SUCH_KEY", f"file:{tmp_path / 'key'}", f"file:{tmp_path / 'none'}"):
        with pytest.raises(UsageError, match="upstream_key") as caught:
            read_key("upstream_key", place)
        assert "two words" not in str(caught.value)


def test_what_a_running_gateway_cannot_change_is_named() -> None:
    old = make_config({}, ONE)
    new = make_config({"workers": 2, "heartbeat": 1.0, "listen": "a:1"}, ONE)
    assert changes(old, new) == ("listen", "workers")
