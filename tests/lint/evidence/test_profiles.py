"""The registry of profiles is complete, and its facts are valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import undam.lint.evidence.profiles as package
from undam.lint.evidence.names import (
    NOT_A_MODEL,
    OTHER,
    UpstreamLocation,
    address_of,
    profile_named,
    site_evidence,
    upstream_evidence,
)
from undam.lint.evidence.profile import ServiceProfile
from undam.lint.evidence.profiles import PROFILES
from undam.lint.routes import RouteHints, RouteOutcome, assess_route

each_profile = pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)


def test_every_module_is_in_the_registry() -> None:
    modules = {file.stem for file in Path(package.__file__).parent.glob("*.py")} - {"__init__"}
    assert modules == {one.name.replace("-", "_") for one in PROFILES}
    assert len(PROFILES) >= 35


@each_profile
def test_a_profile_has_a_source_a_date_and_names(profile: ServiceProfile) -> None:
    assert re.fullmatch(r"20\d\d-\d\d", profile.dated)
    assert profile.source
    assert profile.names
    assert all(name == name.lower() and "_" not in name for name in profile.names)


@each_profile
def test_a_server_with_a_name_or_host_of_a_profile_streams(profile: ServiceProfile) -> None:
    for name in (*profile.names, *profile.hosts):
        assert assess_route("/", (f"http://{name}:80",), RouteHints()).outcome is (
            RouteOutcome.STREAMS
        ), name


@pytest.mark.parametrize("name", ["open_webui", "my-open-webui.default.svc", "openwebui", "vllm0"])
def test_names_are_found_in_other_spellings(name: str) -> None:
    assert profile_named(name) is not None
    assert upstream_evidence(name).score == 3


@pytest.mark.parametrize("name", ["ollama-exporter", "open-webui-db", "litellm-redis", "dify-docs"])
def test_companions_of_a_program_do_not_stream(name: str) -> None:
    assert upstream_evidence(name).score < 0


@pytest.mark.parametrize(
    ("upstream", "address"),
    [
        ("http://VLLM:8000/v1", UpstreamLocation("vllm", 8000, "/v1")),
        ("10.0.0.1", UpstreamLocation("10.0.0.1", None, "")),
        ("https://[fd00::1]:443/", UpstreamLocation("[fd00::1]", 443, "/")),
        ("api:port", UpstreamLocation("api", None, "")),
        ("unix:/run/app.sock", UpstreamLocation("unix", None, "/run/app.sock")),
    ],
)
def test_an_upstream_is_split(upstream: str, address: UpstreamLocation) -> None:
    assert address_of(upstream) == address


@pytest.mark.parametrize(
    ("kind", "name", "score"),
    [
        ("server name", "ollama.example.org", 2), ("server name", "llm.example.org", 2),
        ("server name", "chat.example.org", 1), ("file name", "chat", 0),
        ("server name", "docs.openai.example.org", 0), ("server name", "www.example.org", 0),
    ],
)  # fmt: skip
def test_the_name_of_a_site_is_weaker_evidence(kind: str, name: str, score: int) -> None:
    assert site_evidence(kind, name).score == score


@pytest.mark.parametrize(
    ("upstream", "score"),
    [
        ("gpt-proxy:80", 2), ("chat:80", 1), ("postgres:80", -3), ("acme:80", -1),
        ("10.0.0.1:80", 0), ("10.0.0.1:11434", 3), ("app:7860", 2), ("$backend", 0),
    ],
)  # fmt: skip
def test_names_and_ports_of_servers(upstream: str, score: int) -> None:
    assert upstream_evidence(upstream).score == score


@pytest.mark.parametrize(
    ("upstream", "score"),
    [
        ("vllm-exporter", OTHER), ("litellm-redis", OTHER), ("llm-docs", OTHER), ("vllm", 3),
        ("redis-exporter", NOT_A_MODEL),
    ],
)  # fmt: skip
def test_companions_of_an_engine_are_other_programs(upstream: str, score: int) -> None:
    assert upstream_evidence(f"http://{upstream}:80").score == score


@pytest.mark.parametrize(
    ("upstream", "score"), [("api:5001", 3), ("api:3080", 3), ("api:8000", 0), ("web:5001", 0)]
)
def test_a_common_port_counts_only_with_the_usual_name_of_the_host(
    upstream: str, score: int
) -> None:
    assert upstream_evidence(upstream).score == score
