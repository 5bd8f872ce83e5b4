"""Configuration files for the proxies: given options are set; all others keep their defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from undam.errors import UsageError
from undam.lab.proxies import apache, caddy, envoy, haproxy, lighttpd, nginx, node, squid, varnish
from undam.lab.proxies import trafficserver as ats
from undam.lab.proxies.plan import (
    RunAs,
    UpstreamAddress,
    Workspace,
    indent_directives,
    parse_upstream,
)

ORIGIN = UpstreamAddress("127.0.0.1", 9000)
PLAIN = Workspace(Path("/work"), 8080)
AS_ROOT = Workspace(Path("/work"), 8080, RunAs("someone", "people", 33, 34))


class TestUpstream:
    @pytest.mark.parametrize(
        ("url", "authority"),
        [
            ("http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("http://127.0.0.1:9000/", "127.0.0.1:9000"),
            ("http://origin", "origin:80"),
            ("http://[::1]:9000", "[::1]:9000"),
        ],
    )
    def test_host_and_port_are_parsed(self, url: str, authority: str) -> None:
        assert parse_upstream(url).authority == authority

    @pytest.mark.parametrize(
        "url",
        [
            "127.0.0.1:9000",
            "https://127.0.0.1:9000",
            "http://",
            "http://127.0.0.1:9000/v1",
            "http://127.0.0.1:9000/?a=1",
            "http://user@127.0.0.1:9000",
            "http://127.0.0.1:notaport",
            "http://127.0.0.1:99999",
            "http://[::1",
        ],
    )
    def test_anything_else_is_refused_with_the_url(self, url: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_upstream(url)
        assert url in str(caught.value)


@pytest.mark.parametrize(
    ("directives", "text"),
    [("", ""), ("  \n ", ""), ("a;", "  a;\n"), ("a;\nb;\n", "  a;\n  b;\n")],
)
def test_directives_are_indented_as_whole_lines(directives: str, text: str) -> None:
    assert indent_directives(directives, 2) == text


def test_nginx_puts_directives_in_their_blocks() -> None:
    text = nginx.render(ORIGIN, PLAIN, location="proxy_buffering off;", http="gzip on;")
    http, location = text.split("location / {")
    assert "gzip on;" in http.split("server {")[0]
    assert "proxy_buffering off;" in location
    assert "proxy_pass http://127.0.0.1:9000;" in location
    assert "listen 127.0.0.1:8080;" in http


def test_nginx_keeps_its_defaults() -> None:
    text = nginx.render(ORIGIN, PLAIN)
    for directive in ("proxy_buffering", "proxy_http_version", "gzip", "user"):
        assert directive not in text


def test_haproxy_options_are_in_their_sections() -> None:
    text = haproxy.render(
        ORIGIN, PLAIN, options="option http-no-delay", timeout_server="3s", mode="tcp"
    )
    before, listener = text.split("listen edge")
    assert "mode tcp" in before
    assert "timeout server 3s" in before
    assert "option http-no-delay" in listener
    assert "option" not in haproxy.render(ORIGIN, PLAIN)


def test_apache_appends_the_parameters_of_proxy_pass() -> None:
    text = apache.render(ORIGIN, PLAIN, extra="SetOutputFilter DEFLATE", proxy_pass="timeout=3")
    assert "ProxyPass / http://127.0.0.1:9000/ timeout=3\n" in text
    assert text.endswith("SetOutputFilter DEFLATE\n")
    assert apache.render(ORIGIN, PLAIN).endswith("ProxyPass / http://127.0.0.1:9000/\n")


def test_caddy_directives_are_in_the_site_or_its_reverse_proxy() -> None:
    text = caddy.render(ORIGIN, PLAIN, extra="encode gzip", reverse_proxy="flush_interval -1")
    site, relay = text.split("reverse_proxy 127.0.0.1:9000 {")
    assert "encode gzip" in site
    assert "flush_interval -1" in relay
    assert "default_bind 127.0.0.1" in site


def test_lighttpd_keeps_its_streaming_default() -> None:
    assert "stream-response-body" not in lighttpd.render(ORIGIN, PLAIN)
    for level in (0, 1, 2):
        text = lighttpd.render(ORIGIN, PLAIN, stream_response_body=level, extra="a = 1")
        assert f"server.stream-response-body = {level}\n" in text
        assert "a = 1\n" in text


def test_varnish_puts_statements_in_their_subroutines() -> None:
    text = varnish.render(
        ORIGIN, vcl_response="set beresp.do_gzip = true;", vcl_recv="return (pass);"
    )
    received, response = text.split("sub vcl_backend_response")
    assert "return (pass);" in received
    assert "do_gzip" in response


def test_squid_directives_are_appended() -> None:
    text = squid.render(ORIGIN, PLAIN, extra="read_timeout 3 seconds")
    assert text.endswith("read_timeout 3 seconds\n")
    assert "cache_peer 127.0.0.1 parent 9000 0 " in text


def test_trafficserver_compression_has_a_flush_option() -> None:
    assert "flush true\n" in ats.render_compress(flush=True)
    assert "flush false\n" in ats.render_compress(flush=False)
    assert "8080:ip-in=127.0.0.1" in ats.render(PLAIN)


def test_node_arguments_are_relay_port_and_upstream() -> None:
    arguments = node.arguments(UpstreamAddress("[::1]", 9000), PLAIN, "http-proxy")
    assert arguments == ("node.js", "http-proxy", "8080", "::1", "9000")


def test_unknown_node_relays_are_refused() -> None:
    with pytest.raises(UsageError, match="compression-flush"):
        node.start_node("http://127.0.0.1:9000", app="koa")  # type: ignore[arg-type]


class TestEnvoy:
    def test_keeps_its_own_timeouts(self) -> None:
        text = envoy.render(ORIGIN, PLAIN)
        assert "timeout" not in text.replace("connect_timeout", "")

    def test_timeouts_are_in_the_route_and_the_manager(self) -> None:
        manager = _manager(
            envoy.render(ORIGIN, PLAIN, route_timeout="3s", stream_idle_timeout="2s")
        )
        assert manager["stream_idle_timeout"] == "2s"
        route = manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]
        assert route == {"cluster": "origin", "timeout": "3s"}

    def test_filters_are_before_the_router(self) -> None:
        manager = _manager(envoy.render(ORIGIN, PLAIN, filters=[{"name": "first"}]))
        names = [one["name"] for one in manager["http_filters"]]
        assert names == ["first", "envoy.filters.http.router"]

    def test_addresses_have_no_brackets(self) -> None:
        assert '"address": "::1"' in envoy.render(UpstreamAddress("[::1]", 9000), PLAIN)


def _manager(text: str) -> dict[str, Any]:
    listener = json.loads(text)["static_resources"]["listeners"][0]
    manager: dict[str, Any] = listener["filter_chains"][0]["filters"][0]["typed_config"]
    return manager


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(nginx.render(ORIGIN, AS_ROOT), id="nginx"),
        pytest.param(haproxy.render(ORIGIN, AS_ROOT), id="haproxy"),
        pytest.param(apache.render(ORIGIN, AS_ROOT), id="apache"),
        pytest.param(lighttpd.render(ORIGIN, AS_ROOT), id="lighttpd"),
        pytest.param(squid.render(ORIGIN, AS_ROOT), id="squid"),
        pytest.param(ats.render(AS_ROOT), id="trafficserver"),
    ],
)
def test_root_starts_programs_under_another_account(text: str) -> None:
    assert "someone" in text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(nginx.render(ORIGIN, PLAIN), id="nginx"),
        pytest.param(haproxy.render(ORIGIN, PLAIN), id="haproxy"),
        pytest.param(apache.render(ORIGIN, PLAIN), id="apache"),
        pytest.param(lighttpd.render(ORIGIN, PLAIN), id="lighttpd"),
        pytest.param(squid.render(ORIGIN, PLAIN), id="squid"),
    ],
)
def test_other_users_set_no_account(text: str) -> None:
    lines = [line.split()[0].lower() for line in text.splitlines() if line.strip()]
    assert not {"user", "group", "server.username", "cache_effective_user"} & set(lines)
