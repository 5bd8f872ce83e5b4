"""Compose files: Traefik and Caddy labels, service settings, and the resulting hops."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import (
    Hop,
    RenderRequest,
    Source,
    Tier,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)
from undam.rules import Severity
from undam.versions import Version

COMPOSE = dialect_named("compose")
CORPUS = sorted((Path(__file__).parents[1] / "corpus" / "compose").glob("*"))


def found(text: str, **options: object) -> list[str]:
    result = lint_source(COMPOSE, Source("compose.yaml", text), with_heartbeats(**options))
    return [f"{one.line} {one.rule.code} {one.severity}" for one in result.diagnostics]


def hops(text: str) -> dict[str, Hop]:
    routes = lint_source(COMPOSE, Source("compose.yaml", text), with_heartbeats()).routes
    return {one.hop.title: one.hop for one in routes if one.hop is not None}


def fixed(text: str) -> str:
    return fix_source(COMPOSE, Source("compose.yaml", text), with_heartbeats(), unsafe=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(file.name, text) is COMPOSE
    result = lint_source(COMPOSE, Source(file.name, text), with_heartbeats(heartbeat_s=0))
    faults = [
        f"{one.line} {one.rule.code}"
        for one in result.diagnostics
        if one.severity is not Severity.INFO
    ]
    expected = {
        "stream-traefik-labels.yml": ["9 TRF401", "24 TRF101"],
        "stream-caddy-labels.yaml": ["10 CMP402", "13 CAD102", "16 CAD401"],
        "stream-vllm.yaml": ["8 CMP401"],
        "stream-webui.yml": ["6 CMP402"],
    }
    assert faults == expected.get(file.name, [])


TRAEFIK = """\
services:
  traefik:
    image: traefik:v3.3
    {traefik}
  ollama:
    image: ollama/ollama
    labels:
      {label}
      - traefik.http.routers.o.rule=PathPrefix(`/`)
      - traefik.http.middlewares.hold.buffering.maxRequestBodyBytes=1
"""


def with_label(label: str, traefik: str = "ports: []") -> str:
    return TRAEFIK.format(label=label, traefik=traefik)


def test_middlewares_are_removed_from_the_label_of_the_router() -> None:
    one = "- traefik.http.routers.o.middlewares=hold"
    assert found(with_label(one)) == ["10 TRF101 error"]
    assert one not in fixed(with_label(one))
    several = "- traefik.http.routers.o.middlewares=auth@file, hold@docker"
    assert "middlewares=auth@file\n" in fixed(with_label(several))
    quoted = '- "traefik.http.routers.o.middlewares=hold,auth@file"'
    assert '"traefik.http.routers.o.middlewares=auth@file"' in fixed(with_label(quoted))
    escaped = '- "traefik.http.routers.o.middlewares=\\x68old,auth@file"'
    assert found(with_label(escaped)) == ["10 TRF101 error"]
    assert fixed(with_label(escaped)) == with_label(escaped)


@pytest.mark.parametrize(
    ("label", "wanted"),
    [
        ("{}.compress=true", "{}.compress.excludedcontenttypes=text/event-stream"),
        ('"{}.compress=true"', '"{}.compress.excludedcontenttypes=text/event-stream"'),
        ('"{}.compress=tru\\x65"', '"{}.compress=tru\\x65"'),
        ("{}.compress.minresponsebodybytes=1", "{}.compress.minresponsebodybytes=1"),
    ],
)
def test_compression_by_a_label_leaves_out_event_streams(label: str, wanted: str) -> None:
    name = "traefik.http.middlewares.zip"
    router = "- traefik.http.routers.o.middlewares=zip\n      - "
    text = with_label(router + label.format(name))
    version = Version.parse("3.7")
    assert version is not None
    targets = {"traefik": version}
    assert [one.split()[1] for one in found(text, targets=targets)] == ["TRF102"]
    mended = fixed(text)
    assert wanted.format(name) in mended
    if wanted != label:
        assert found(mended, targets=targets) == []


def test_a_router_may_name_its_service_and_labels_may_be_incomplete() -> None:
    label = (
        "- traefik.http.routers.o.service=model\n"
        "      - traefik.http.services.model.loadbalancer.server.port=11434\n"
        "      - traefik.http.services.model.loadbalancer.responseforwarding.flushinterval=1s\n"
        "      - traefik.enable\n      - traefik.docker.network=x\n"
        "      - traefik.tcp.routers.t=1\n"
        "      - traefik.http.routers.o=odd\n      - traefik.http.routers.o.tls=\n"
        "      - {a: b}"
    )
    assert found(with_label(label)) == ["10 TRF202 info"]


@pytest.mark.parametrize(
    "setting",
    [
        "command: ['--entrypoints.web.transport.respondingtimeouts.writetimeout=30s']",
        "environment: [TRAEFIK_ENTRYPOINTS_WEB_TRANSPORT_RESPONDINGTIMEOUTS_WRITETIMEOUT=30s]",
        "environment: {TRAEFIK_ENTRYPOINTS_WEB_TRANSPORT_RESPONDINGTIMEOUTS_WRITETIMEOUT: 30s}",
    ],
)
def test_limits_of_entry_points_are_read_from_options_and_variables(setting: str) -> None:
    text = with_label("- a=b", setting)
    assert found(text) == ["4 TRF401 error"]
    assert found(fixed(text)) == []
    unrelated = with_label("- a=b", "environment: {TRAEFIK_LOG_LEVEL: debug, OTHER: 1}")
    assert found(unrelated) == []
    assert found(with_label("- a=b", "command: ['--log.level=debug', plain, {x: y}]")) == []


def test_labels_of_a_swarm_service_are_read() -> None:
    text = """\
services:
  ollama:
    image: ollama/ollama
    deploy:
      labels:
        traefik.http.routers.o.rule: PathPrefix(`/`)
        traefik.http.routers.o.middlewares: hold
        traefik.http.middlewares.hold.buffering.retryExpression: $$x
"""
    assert found(text) == ["8 TRF101 error"]
    assert "middlewares: hold" not in fixed(text)


def test_a_label_that_is_both_a_value_and_a_table_becomes_the_table() -> None:
    text = """\
services:
  site: {image: x, labels: [traefik.enable=true]}
  ollama:
    image: ollama/ollama
    labels:
      - traefik.http.routers.o=odd
      - traefik.http.routers.o.middlewares=hold
      - traefik.http.routers.o.rule=PathPrefix(`/`)
      - traefik.http.middlewares.hold.buffering.retryExpression=x
"""
    assert found(text) == ["9 TRF101 error"]


def test_middlewares_without_a_router_are_not_reported() -> None:
    text = """\
services:
  a: {image: x, labels: [traefik.http.middlewares.hold.buffering.retryExpression=x]}
  b: {image: y, labels: [traefik.enable=true]}
"""
    assert found(text) == []


CADDY = """\
services:
  vllm:
    image: vllm/vllm-openai
    labels:
      caddy: llm.example.org
      caddy.reverse_proxy: "{{{{upstreams 8000}}}}"
      {more}
"""


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("caddy.encode: gzip", ["7 CAD102 error"]),
        ("caddy.1_encode: zstd gzip", ["7 CAD102 error"]),
        ("caddy.reverse_proxy.transport.read_timeout: 10s", ["7 CAD401 error"]),
        ("caddy.reverse_proxy.flush_interval: '-1'", []),
        ("caddyfile: x", []),
    ],
)
def test_caddy_labels(more: str, expected: list[str]) -> None:
    text = CADDY.format(more=more)
    codes = [one for one in found(text, targets={}) if "CAD2" not in one]
    assert [one.rpartition(" ")[0] for one in codes] == [one.rpartition(" ")[0] for one in expected]


def test_caddy_edits_fit_a_label() -> None:
    text = CADDY.format(more="caddy.reverse_proxy.transport.read_timeout: 10s")
    assert "read_timeout: 1h" in fixed(text)
    encoded = CADDY.format(more="caddy.encode: gzip")
    assert fixed(encoded) == encoded


def test_sites_without_names_and_upstreams_without_ports() -> None:
    text = """\
services:
  vllm:
    image: vllm/vllm-openai
    labels:
      caddy_1.reverse_proxy: "{{upstreams}}"
      caddy_1.encode: gzip
      caddy_1: a.example.org, b.example.org
      caddy_2: only.example.org
"""
    assert [one.split()[1] for one in found(text)] == ["CAD102"]
    assert hops(text)["Caddy"].names == ("a.example.org", "b.example.org")


def test_services_become_hops_with_their_addresses() -> None:
    text = """\
services:
  chat:
    image: ghcr.io/open-webui/open-webui
    container_name: webui
    hostname: chat.internal
    ports: ["3000:8080", "9000", {published: 1}]
    environment: {OLLAMA_BASE_URL: "http://ollama:11434", OTHER: "https://example.org/x", N: 1}
  ollama: {image: ollama/ollama, command: [serve]}
  litellm: {image: ghcr.io/berriai/litellm}
  tgi: {build: ./tgi}
  vllm: {image: vllm/vllm-openai, command: --model x}
  shop: {image: shop}
"""
    found_hops = hops(text)
    web = found_hops["Open WebUI"]
    assert web.names == ("chat", "webui", "chat.internal", ":3000")
    assert web.upstreams == ("http://ollama:11434",)
    assert web.tier is Tier.APP
    assert found_hops["LiteLLM"].tier is Tier.GATEWAY
    assert found_hops["LiteLLM"].idle_limit_s is None
    assert "vLLM" not in found_hops  # vLLM is described by its command line instead.
    assert any(one.tier is Tier.ENGINE for one in found_hops.values())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1s", ["4 CMP401 warning"]),
        ("1s500ms", ["4 CMP401 warning"]),
        ("10s", []),
        ("2m", []),
        ("${GRACE}", []),
        ("0.5h", []),
    ],
)
def test_stop_grace_periods(value: str, expected: list[str]) -> None:
    text = f"services:\n  o:\n    image: ollama/ollama\n    stop_grace_period: {value}\n"
    assert found(text) == expected
    aliased = text.replace(": 1s\n", ": &g 1s\nx: *g\n")
    assert fixed(aliased) == aliased or value != "1s"


def test_a_long_client_timeout_is_not_reported() -> None:
    image = "ghcr.io/open-webui/open-webui"
    text = f"services: {{w: {{image: {image}, environment: {{AIOHTTP_CLIENT_TIMEOUT: 3600}}}}}}\n"
    assert found(text) == []


def test_a_variable_with_an_escape_is_not_edited() -> None:
    text = (
        "services:\n  w:\n    image: ghcr.io/open-webui/open-webui\n"
        '    environment: {"AIOHTTP_CLIENT_TIMEOUT": "3\\x30"}\n'
    )
    assert found(text) == ["4 CMP402 error"]
    assert fixed(text) == text


@pytest.mark.parametrize(
    ("text", "ours"),
    [
        ("services:\n  a:\n    image: x\n", True),
        ("# c\nservices: # all\n\n  # one\n  a:\n    build: .\n", True),
        ("services: {a: {image: x}}\n", True),
        ("http:\n  services:\n    a: {}\n", False),
        ("services:\n- name: a\n  image: x\n", False),
        ("services:\n  a:\n    host: x\n", False),
        ("image: x\n", False),
    ],
)
def test_files_are_recognised(text: str, ours: bool) -> None:
    assert COMPOSE.recognises("a.yml", text) is ours
    assert not COMPOSE.recognises("a.txt", text)


def test_empty_and_odd_files() -> None:
    assert found("") == []
    assert found("services: null\n") == []
    assert found("services: {a: null, b: {labels: {x: [1]}, environment: 3}}\n") == []


def test_the_rendered_file_has_no_findings() -> None:
    text = COMPOSE.render(RenderRequest(upstream="http://vllm:8000", path="/v1/"))
    assert recognise_dialect("compose.yaml", text) is COMPOSE
    assert found(text, stream_paths=("/",)) == []
