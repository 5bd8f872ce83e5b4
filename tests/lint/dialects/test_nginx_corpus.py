"""Complete nginx configurations: corpus, dialect detection, rendering, large and damaged files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from support.dialect_harness import with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import UsageError
from undam.lint import (
    Diagnostic,
    RenderRequest,
    Source,
    dialect_named,
    lint_source,
    recognise_dialect,
)
from undam.rules import Severity

HERE = Path(__file__).parents[1]
CORPUS = sorted((HERE / "corpus" / "nginx").glob("*"))
TEXTS = [
    file.read_text("utf-8")
    for file in [*CORPUS, *sorted((HERE.parent / "rules").glob("NGX*/*.conf"))]
]
NGINX = dialect_named("nginx")
UP = "proxy_pass http://127.0.0.1:9000;"
OFF = "proxy_buffering off;"


def diagnostics(text: str, **options: object) -> tuple[Diagnostic, ...]:
    return lint_source(NGINX, Source("f.conf", text), with_heartbeats(**options)).diagnostics


def reported(text: str, **options: object) -> list[tuple[str, int]]:
    """Return the code and line of each diagnostic."""
    return [(one.rule.code, one.line) for one in diagnostics(text, **options)]


# corpus


@pytest.mark.parametrize(
    "file", [one for one in CORPUS if one.name.startswith("still")], ids=lambda file: file.name
)
def test_routes_that_do_not_stream_have_no_findings(file: Path) -> None:
    found = lint_source(NGINX, Source(str(file), file.read_text("utf-8")), with_heartbeats())
    assert found.diagnostics == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("stream-vllm.conf", []),
        ("stream-chat-app.conf", [("NGX201", 24), ("NGX101", 30)]),
    ],
)
def test_only_held_streaming_routes_are_reported(
    name: str, expected: list[tuple[str, int]]
) -> None:
    found = diagnostics((HERE / "corpus" / "nginx" / name).read_text("utf-8"))
    certain = [one for one in found if one.severity is not Severity.INFO]
    assert [(one.rule.code, one.line) for one in certain] == expected


def test_a_general_location_may_stream_if_the_server_name_suggests_a_chat() -> None:
    text = (HERE / "corpus" / "nginx" / "stream-chat-app.conf").read_text("utf-8")
    remarks = [one for one in diagnostics(text) if one.severity is Severity.INFO]
    assert [(one.rule.code, one.line, one.edits) for one in remarks] == [("NGX101", 10, ())]
    assert remarks[0].message.startswith("if / streams: ")
    still = diagnostics(text.replace("server_name chat.", "server_name intranet."))
    assert not [one for one in still if one.severity is Severity.INFO]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for file in CORPUS:
        assert recognise_dialect("-", file.read_text("utf-8")) is NGINX, file.name


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/nginx/nginx.conf", "", True),
        ("nginx.conf.template", "", True),
        ("/etc/nginx/sites-enabled/default", "", True),
        ("site.conf", "server {\n  listen 80;\n}", True),
        ("part.conf", "location /x {\n  proxy_pass http://y;\n}", True),
        ("-", "upstream a { server b:1; }", True),
        ("consul.hcl", "server {\n  listen 80;\n}", False),
        ("named.conf", 'zone "a" { type master; };', False),
        ("x.conf", "server {\n  enabled = true\n}", False),
        ("haproxy.cfg", "listen a\n  bind :80\n  server b c:1", False),
        ("default.vcl", 'backend b { .host = "a"; }', False),
    ],
)
def test_nginx_is_recognised(path: str, text: str, expected: bool) -> None:
    assert NGINX.recognises(path, text) is expected


# render


@pytest.mark.parametrize("idle_s", [3600.0, 0.5])
def test_rendered_configurations_have_no_findings(idle_s: float) -> None:
    text = NGINX.render(RenderRequest(upstream="http://vllm:8000/", path="/v1/", idle_s=idle_s))
    assert "proxy_pass http://vllm:8000;" in text
    assert reported(text, heartbeat_s=0.1) == []
    assert recognise_dialect("-", text) is NGINX


def test_an_https_upstream_receives_the_server_name() -> None:
    texts = [NGINX.render(RenderRequest(upstream=f"{scheme}://x")) for scheme in ("https", "http")]
    assert ["proxy_ssl_server_name on;" in text for text in texts] == [True, False]


@pytest.mark.parametrize(
    "wrong", [{"path": "/a b"}, {"path": "/}"}, {"listen": "1;2"}, {"upstream": "http://a\n"}]
)
def test_values_with_a_special_meaning_are_rejected(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        NGINX.render(replace(RenderRequest(upstream="http://a"), **wrong))  # type: ignore[arg-type]


# size


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda n: "server { " + "location / { proxy_pass http://x; }" * n + "}",
        lambda n: "map $a $b { " + "x http://y; z web;" * n + "}"
        + "location /x { proxy_pass $b; }" * n,
        lambda n: f"location /v1/ {{ {UP} {OFF} "
        + "proxy_set_header X-Accel-Buffering no;" * n + "}",
    ],
    ids=["locations", "map", "lines"],
)  # fmt: skip
def test_work_is_linear_in_the_length(make: Callable[[int], str]) -> None:
    def lint(n: int) -> None:
        reported(make(n))
        reported(make(n), stream_paths=("/v1/",))

    assert_linear(lint, 200)


# damage


@pytest.mark.slow
@given(text=damaged_texts(TEXTS))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(NGINX, text) == []


@pytest.mark.deep
@given(text=damaged_texts(TEXTS))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(NGINX, text) == []
