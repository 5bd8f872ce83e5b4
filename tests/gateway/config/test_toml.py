"""parse_config: values, upstreams, and errors with line and column."""

from __future__ import annotations

import dataclasses

import pytest

from undam.errors import ConfigSyntaxError
from undam.gateway.config.config import UpstreamConfig, make_config, upstream_from_url
from undam.gateway.config.toml import parse_config

COMPLETE = """
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
models = ["a", "b"]

[[upstream]]
name = "spare"
"url" = "https://two.test"
priority = 1
resolve = true

[aliases]
"gpt-4" = "a"
"""


def test_a_file_sets_values_and_upstreams() -> None:
    parsed = parse_config(COMPLETE, "g.toml")
    config = make_config(parsed.values, parsed.upstreams, parsed.aliases)
    assert config.upstreams == (
        UpstreamConfig("http://one.test:8000/v1/", "one.test:8000/v1", 32, models=("a", "b")),
        UpstreamConfig("https://two.test", "spare", priority=1, resolve=True),
    )
    assert config.aliases == {"gpt-4": "a"}
    assert (config.hedge, config.metrics) == ("auto", "off")
    assert config.hedge_paths == ("/chat/completions",)
    assert config.address == ("0.0.0.0", 8080)
    assert config.request_limits.idle_timeout_s == 60
    assert config.request_limits.ttft_timeout_s == 120
    assert config.hedge_limits.mode == "auto"
    assert dataclasses.replace(config, hedge=150.0).hedge_limits.fixed_delay_s == 0.15


@pytest.mark.parametrize("text", ['upstream = "http://a:1"', 'upstream = ["http://a:1"]'])
def test_upstreams_may_be_a_url_or_a_list_of_urls(text: str) -> None:
    assert parse_config(text, "g.toml").upstreams == [upstream_from_url("http://a:1")]


@pytest.mark.parametrize(
    ("text", "position", "message"),
    [
        ("\nheart_beat = 5", (2, 1), 'unknown key "heart_beat". Did you mean "heartbeat"?'),
        ("x = 1\nheart-beat = 5", (1, 1), 'unknown key "x". Known keys: access_log'),
        ("a.b = 5", (1, 1), 'unknown key "a"'),
        ("[hedge]\nmode = 1", (1, 2), "hedge must be off, auto or a number of milliseconds"),
        (
            '\n\nheartbeat = "5"',
            (3, 1),
            "heartbeat must be a number of seconds from 0 to 3600, not this string",
        ),
        ("heartbeat = -1", (1, 1), "heartbeat must be a number of seconds from 0 to 3600"),
        ("heartbeat = nan", (1, 1), "heartbeat must be"),
        ("heartbeat = true", (1, 1), "not a boolean"),
        ("workers = 1.5", (1, 1), "workers must be a whole number"),
        ("workers = 0", (1, 1), "from 1 to 256"),
        ("retries = true", (1, 1), "retries must be a whole number from 0 to 16"),
        ("hedge = 'yes'", (1, 1), "hedge must be off, auto"),
        ("hedge = 0", (1, 1), "hedge must be off, auto"),
        ("hedge_paths = []", (1, 1), "a list of strings"),
        ("hedge_paths = [1]", (1, 1), "a list of strings"),
        ("metrics = 'maybe'", (1, 1), "metrics must be on or off"),
        ("keys = 2026-01-01", (1, 1), "keys must be a string, not a date"),
        ("keys = 'a\\nb'\nqueue = 3\nlisten = 'x'", (3, 1), "use HOST:PORT"),
        ('keys = "a\\nb"', (1, 1), "control characters"),
        ("listen = '::1:80'", (1, 1), "[IPv6]:PORT"),
        ("upstream = 5", (1, 1), "upstream must be a URL, a list of URLs, or tables"),
        ("upstream = []", (1, 1), "upstream must not be empty"),
        ("upstream = [\n'http://a:1',\n'ftp://a']", (3, 1), "only http:// and https://"),
        ("[[upstream]]\nurl = 'http://a'\nmax_stream = 3", (3, 1), 'Did you mean "max_streams"?'),
        ("[[upstream]]\nname = 'a'", (1, 1), "this upstream has no url"),
        ("[[upstream]]\nurl = 'http://u:secret@a'", (2, 1), "must not contain credentials"),
        ("[[upstream]]\n\nurl = 'http://a/?key=secret'", (3, 1), "must not have a query"),
        ("[[upstream]]\nurl = 'ftp://a/?key=secret'", (2, 1), "only http:// and https://"),
        ("upstream = ['http://a', 'http://a/']", (1, 25), "two upstreams have the name 'a'"),
        ("[[upstream]]\nurl = 'unix:/s'\nresolve = true", (2, 1), "not a Unix socket"),
        ("[[upstream]]\nurl = 'http://a'\nmodels = 'm'", (3, 1), "a list of strings"),
        ("aliases = 5", (1, 1), "aliases must be a table"),
        ("[aliases]\na = 1", (1, 2), "aliases must be a table"),
        ("affinity = 'header:'", (1, 1), "off, prefix, user or header:NAME"),
        ("heartbeat = ", (1, 13), "not TOML"),
        ("heartbeat = 1\nheartbeat = 2", (2, 14), "not TOML"),
    ],
)
def test_each_error_has_a_position_and_hides_secrets(
    text: str, position: tuple[int, int], message: str
) -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        parse_config(text, "g.toml")
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == position
    assert "secret" not in str(caught.value)
