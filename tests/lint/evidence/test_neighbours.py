"""Evidence from files next to a configuration."""

from __future__ import annotations

import pytest

from undam.lint.evidence.neighbours import neighbours_from, profile_of_image, versions_in
from undam.versions import Version


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("ghcr.io/open-webui/open-webui:main", "open-webui"), ("vllm/vllm-openai", "vllm"),
        ("registry:5000/mirror/vllm/vllm-openai:v0.9@sha256:ab", "vllm"), ("mcp/fetch", "mcp"),
        ("postgres:16", None), ("notvllm/vllm-openai2", None), ("", None),
    ],
)  # fmt: skip
def test_images_have_profiles(image: str, name: str | None) -> None:
    found = profile_of_image(image)
    assert (found.name if found else None) == name


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("nginx:1.30-alpine", ("nginx", "1.30")), ("traefik:v3.3", ("traefik", "3.3")),
        ("envoyproxy/envoy:v1.31.2", ("envoy", "1.31.2")), ("httpd:2.4", ("apache", "2.4")),
        ("envoyproxy/envoy:distroless-v1.31", ("envoy", "1.31")),
        ("nginx", ("nginx", None)), ("nginx:alpine", ("nginx", None)), ("nginx:1", ("nginx", None)),
        ("nginx:${TAG}", ("nginx", None)), ("nginx:${TAG:-1.30}", ("nginx", "1.30")),
        ("shop:1.2", None), ("", None),
    ],
)  # fmt: skip
def test_tags_have_versions(image: str, expected: tuple[str, str | None] | None) -> None:
    found = list(versions_in(f"image: {image}\n"))
    assert found == [
        (program, Version.parse(number) if number else None)
        for program, number in ([expected] if expected else [])
    ]


def test_services_ports_and_heartbeats_of_compose_files() -> None:
    compose = """\
services:
  UI:
    container_name: front
    hostname: [x]
    image: ghcr.io/open-webui/open-webui
    ports:
      - "127.0.0.1:3000:8080/tcp"
      - {target: 80, published: 8081}
      - {target: 80}
      - "9000"
      - "${PORT}:1"
  ollama:
    build: .
    command: --sse-ping-interval 5
  db:
    image: postgres
"""
    found = neighbours_from([("compose.yaml", compose), ("broken.yaml", "a: [")])
    assert set(found.services) == {"ui", "front", "ollama", "db"}
    assert set(found.published) == {3000, 8081}
    assert [one.name for one in found.apps] == ["UI", "ollama"]
    assert found.services["db"].profile is None
    assert found.heartbeat_s == 5


def test_a_name_and_a_tag_of_different_mappings_are_not_joined() -> None:
    joined = "image:\n  repository: nginx\n  # the tag\n  tag: 1.27.1\n"
    apart = "image:\n  repository: nginx\nother:\n  tag: 1.27.1\n"
    nested = "image:\n  repository: nginx\n  more:\n    tag: 1.27.1\n"
    found = [[str(version) for _, version in versions_in(one)] for one in (joined, apart, nested)]
    assert found == [["1.27.1"], [], []]
