"""Findings that depend on a program's version, and the sources of the version."""

from __future__ import annotations

import pytest

from support.lint_reports import lint_files, location
from undam.errors import UsageError

SITE = location("/v1/", "http://vllm:8000", "proxy_read_timeout 1h;")
HAPROXY = """\
defaults
  mode http
  timeout client 600s
  timeout server 600s
frontend f
  bind :80
  default_backend vllm
backend vllm
  server a 127.0.0.1:8000
"""


def test_without_a_version_the_finding_names_the_range_and_is_not_an_error() -> None:
    found = lint_files({"nginx.conf": SITE, "haproxy.cfg": HAPROXY})
    assert found.codes == ["HAP101 warning", "NGX101 warning"]
    assert "(holds for nginx before 1.29.7; --target nginx=VERSION)" in found.message("NGX101")
    assert "HAProxy before 3.4.7" in found.message("HAP101")


@pytest.mark.parametrize(
    ("version", "codes"),
    [
        ("1.22", ["NGX101 error"]), ("1.29.6", ["NGX101 error"]), ("1.29.7", ["NGX102 info"]),
        ("1.29", ["NGX101 warning"]), ("1.30", ["NGX102 info"]), ("1.31.5", ["NGX102 info"]),
    ],
)  # fmt: skip
def test_the_default_protocol_depends_on_the_version(version: str, codes: list[str]) -> None:
    assert lint_files({"nginx.conf": SITE}, "--target", f"nginx={version}").codes == codes


def test_an_explicit_protocol_does_not_depend_on_the_version() -> None:
    old = SITE.replace("proxy_read", "proxy_http_version 1.0; proxy_read")
    found = lint_files({"nginx.conf": old}, "--target", "nginx=1.30")
    assert found.codes == ["NGX101 error", "NGX110 warning"]
    new = SITE.replace("proxy_read", "proxy_http_version 2; proxy_read")
    assert lint_files({"nginx.conf": new}).codes == ["NGX102 info"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Dockerfile", "FROM nginx:1.30\nCOPY nginx.conf /etc/nginx/nginx.conf\n"),
        ("Dockerfile", "FROM node:22 AS build\nFROM --platform=linux/amd64 nginx:1.30-alpine\n"),
        ("compose.yaml", "services:\n  web:\n    image: nginx:1.30.1\n"),
        ("compose.yaml", "services:\n  a:\n    image: 'r:5000/nginx-unprivileged:1.30@sha256:0'\n"),
        ("Dockerfile", "ARG NGINX_VERSION=1.30\nFROM nginx:${NGINX_VERSION}-alpine\n"),
        ("Dockerfile", "ARG V='1.30'\nFROM nginx:$V AS web\n"),
        ("compose.yaml", "services: {a: {image: 'nginx:${TAG:-1.30-alpine}'}}\n"),
        ("compose.yaml", "services:\n  web:\n    # image: nginx:1.22\n    image: nginx:1.30\n"),
        ("values.yaml", "web:\n  image:\n    repository: nginx\n    tag: '1.30'\n"),
        ("values.yaml", "image: {registry: r, repository: bitnami/nginx, tag: 1.30.1-debian-12}\n"),
        ("web.yaml", "kind: Deployment\nspec: {a: [{image: 'nginx:1.30'}]}\n"),
        ("undam.toml", "[target]\nnginx = '1.30'\n"),
        ("pyproject.toml", "[tool.undam.target]\nnginx = '1.30'\n"),
    ],
)  # fmt: skip
def test_the_version_is_read_from_the_files_beside(name: str, text: str) -> None:
    assert lint_files({"nginx.conf": SITE, name: text}).codes == ["NGX102 info"]


@pytest.mark.parametrize(
    "values",
    [
        "image:\n  repository: web\n  tag: '1.30'\n",
        "a:\n  repository: nginx\nb:\n  tag: '1.30'\n",
        "exporter:\n  image: nginx/nginx-prometheus-exporter\n  tag: '1.30'\n",
    ],
)
def test_the_tag_of_another_image_is_not_a_version(values: str) -> None:
    assert lint_files({"nginx.conf": SITE, "values.yaml": values}).codes == ["NGX101 warning"]


@pytest.mark.parametrize("tag", ["latest", "alpine", "stable", "mainline-alpine", "${TAG}"])
def test_a_tag_without_a_number_is_not_a_version(tag: str) -> None:
    compose = f"services:\n  web:\n    image: nginx:{tag}\n"
    assert lint_files({"nginx.conf": SITE, "compose.yaml": compose}).codes == ["NGX101 warning"]


@pytest.mark.parametrize("other", ["1.22", "alpine", "latest", "1"])
def test_two_versions_beside_a_file_are_none(other: str) -> None:
    compose = f"services:\n  a:\n    image: nginx:1.30\n  b:\n    image: nginx:{other}\n"
    assert lint_files({"nginx.conf": SITE, "compose.yaml": compose}).codes == ["NGX101 warning"]


def test_the_header_of_a_generated_file_and_the_option_take_precedence() -> None:
    generated = f"# generated 2026-04-21, nginx 1.22.1, intermediate configuration\n{SITE}"
    dockerfile = {"Dockerfile": "FROM nginx:1.30\n", "nginx.conf": generated}
    assert lint_files(dockerfile).codes == ["NGX101 error"]
    assert lint_files({}, "--target", "nginx=1.30").codes == ["NGX102 info"]


@pytest.mark.parametrize(
    ("version", "codes"),
    [("3.0", ["HAP101 error"]), ("3.4.6", ["HAP101 error"]), ("3.4.7", []), ("3.5", [])],
)
def test_haproxy_delays_packets_before_its_fix(version: str, codes: list[str]) -> None:
    assert lint_files({"haproxy.cfg": HAPROXY}, "--target", f"haproxy={version}").codes == codes


@pytest.mark.parametrize(
    ("version", "codes"),
    [("2.6", ["CAD102 warning"]), ("2.10", ["CAD102 info"]), ("2.11.7", [])],
)
def test_the_encoder_of_caddy_holds_less_in_newer_versions(version: str, codes: list[str]) -> None:
    text = "llm.example.org {\n\tencode zstd\n\treverse_proxy vllm:8000\n}\n"
    found = lint_files({"Caddyfile": text}, "--target", f"caddy={version}")
    assert found.codes == codes


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("nginx", "must be NAME=VERSION"), ("ngnix=1.30", "has no versions; known: "),
        ("nginx=new", "needs a version in quotes"),
    ],
)  # fmt: skip
def test_an_invalid_target_is_a_usage_error(value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        lint_files({"nginx.conf": SITE}, "--target", value)
