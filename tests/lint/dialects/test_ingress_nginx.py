"""ingress-nginx rules: streaming Ingresses, annotations and the ConfigMap."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from support.dialect_harness import with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import (
    RenderRequest,
    Source,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)
from undam.rules import Severity
from undam.textfiles.yaml_reader import read_yaml

HERE = Path(__file__).parents[1]
CORPUS = sorted((HERE / "corpus" / "ingress_nginx").glob("*"))
TEXTS = [
    file.read_text("utf-8")
    for file in [*CORPUS, *sorted((HERE.parent / "rules").glob("ING*/*.yaml"))]
]
DIALECT = dialect_named("ingress-nginx")
PREFIX = "nginx.ingress.kubernetes.io/"


def ingress(*annotations: str, path: str = "/v1", service: str = "app", extra: str = "") -> str:
    lines = "".join(f"    {PREFIX}{one}\n" for one in annotations)
    return f"""\
kind: Ingress
metadata:
  annotations:
    a: b
{lines}spec:
  ingressClassName: nginx
  rules:
  - http:
      paths:
      - path: {path}
        backend: {{service: {{name: {service}, port: {{number: 80}}}}}}
{extra}"""


def reported(text: str, **options: object) -> list[tuple[str, int, str]]:
    """Return the code, line and severity of each diagnostic."""
    chosen = with_heartbeats(**options)
    found = lint_source(DIALECT, Source("f.yaml", text), chosen).diagnostics
    return [(one.rule.code, one.line, one.severity.value) for one in found]


def codes(text: str, **options: object) -> list[str]:
    return [code for code, _, _ in reported(text, **options)]


def fixed(text: str) -> str:
    return fix_source(DIALECT, Source("f.yaml", text), with_heartbeats(), unsafe=True)


@pytest.mark.parametrize(
    "file", [one for one in CORPUS if one.name.startswith("still")], ids=lambda file: file.name
)
def test_routes_that_do_not_stream_have_no_findings(file: Path) -> None:
    assert reported(file.read_text("utf-8")) == []


def test_unheld_routes_have_no_findings() -> None:
    assert (
        reported((HERE / "corpus" / "ingress_nginx" / "stream-vllm.yaml").read_text("utf-8")) == []
    )


def test_trial_and_error_is_reported_line_by_line() -> None:
    text = (HERE / "corpus" / "ingress_nginx" / "stream-webui.yaml").read_text("utf-8")
    assert reported(text) == [
        ("ING101", 11, "warning"),
        ("ING205", 12, "warning"),
        ("ING202", 15, "warning"),
        ("ING201", 16, "warning"),
    ]
    # These findings remain, because one path does not stream and the snippet sets another limit.
    left = fixed(text)
    assert codes(left) == ["ING101", "ING205", "ING201"]
    assert "X-Accel" not in left


def test_every_file_of_the_corpus_is_recognised() -> None:
    for file in CORPUS:
        assert recognise_dialect(file.name, file.read_text("utf-8")) is DIALECT, file.name


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("-", ingress(), True),
        ("a.json", '{"kind": "Ingress", "spec": {"ingressClassName": "nginx"}}', True),
        ("a.yaml", "kind: Ingress\nspec:\n  ingressClassName: traefik\n", False),
        ("a.yaml", "kind: ConfigMap\nmetadata:\n  name: nginx\ndata:\n  use-gzip: 'true'\n", True),
        ("a.yaml", "kind: ConfigMap\nmetadata:\n  name: web-nginx\ndata:\n  a: b\n", False),
        ("a.yaml", "kind: ConfigMap\nmetadata:\n  name: app\ndata:\n  use-gzip: 'true'\n", False),
        ("a.conf", ingress(), False),
    ],
)
def test_manifests_are_recognised(path: str, text: str, expected: bool) -> None:
    assert DIALECT.recognises(path, text) is expected


ON = 'proxy-buffering: "on"'
DEFAULT_BACKEND = "{ingressClassName: nginx, defaultBackend: {service: {name: ollama}}}"


@pytest.mark.parametrize(
    "text",
    [
        ingress(ON),
        ingress(ON, path="/x", service="vllm"),
        ingress(ON).replace("  ingressClassName: nginx\n", ""),
        ingress(ON).replace("ingressClassName", "other").replace(
            "    a: b\n", "    kubernetes.io/ingress.class: internal-nginx\n"
        ),
        ingress(ON, path="/v1(/|$)(.*)"),
        f"kind: Ingress\nmetadata: {{annotations: {{{PREFIX}{ON}}}}}\nspec: {DEFAULT_BACKEND}",
    ],
)  # fmt: skip
def test_ingresses_that_stream_are_found(text: str) -> None:
    assert codes(text) == ["ING101"]
    assert codes(fixed(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: b",
        "- kind: Ingress",
        "kind: Ingress",
        "kind: IngressList\nitems: [1, {kind: [x]}, {kind: List}]",
        ingress(ON, path="/x"),
        ingress(ON).replace("ingressClassName: nginx", "ingressClassName: haproxy"),
        ingress().replace("  ingressClassName: nginx\n", ""),
        ingress(ON).replace("- path: /v1\n        backend", "- backend"),
        ingress(ON).replace("kind: Ingress", "kind: Service"),
        f"kind: Ingress\nmetadata: {{annotations: {{{PREFIX}{ON}}}}}",
        f"kind: Ingress\nmetadata: {{annotations: {{{PREFIX}{ON}}}}}\nspec: {{rules: [{{}}, 1]}}",
        ingress(f"proxy-buffering: [{ON[-4:]}]"),
        "kind: ConfigMap\nmetadata: {name: ingress-nginx}",
        "kind: ConfigMap\nmetadata: {name: ingress-nginx}\ndata: {a: b}",
        "kind: ConfigMap\nmetadata: {name: x}\ndata: {proxy-buffering: 'on'}",
        "kind: ConfigMap\ndata: {proxy-buffering: 'on'}",
    ],
)
def test_other_manifests_have_no_findings(text: str) -> None:
    assert reported(text) == []


def test_user_paths_select_the_streaming_routes() -> None:
    assert codes(ingress(ON, path="/tell"), stream_paths=("/tell",)) == ["ING101"]
    assert codes(ingress(ON), stream_paths=("/tell",)) == []


def test_over_http_10_buffering_is_an_error() -> None:
    text = ingress(ON, 'proxy-http-version: "1.0"')
    assert reported(text) == [("ING101", 5, "error"), ("ING104", 6, "warning")]
    assert codes(fixed(text)) == []


def test_an_ingress_with_other_paths_is_reported_but_not_edited() -> None:
    more = "      - path: /\n        backend: {service: {name: web, port: {number: 1}}}\n"
    text = ingress(ON, extra=more)
    assert codes(text) == ["ING101"]
    assert fixed(text) == text


@pytest.mark.parametrize(
    ("snippet", "expected", "after"),
    [
        ("|\n      proxy_buffering off;\n", ["ING201"], None),
        ("|-\n      proxy_http_version 1.1;\n      x y;\n", ["ING201"], "|-\n      x y;\n"),
        ("|\n      proxy_read_timeout 1h;\n", ["ING201"], "same"),
        ("|\n      # proxy_buffering off;\n      a b; # proxy_buffering off;\n", [], "same"),
        ('"proxy_buffering off;"\n', ["ING201"], None),
        ("proxy_buffering off;\n", ["ING201"], None),
        ('"a b; proxy_buffering off;"\n', ["ING201"], "same"),
        ("|\n      a b; proxy_buffering off;\n", ["ING201"], "same"),
        ("&s |\n      proxy_buffering off;\n", ["ING201"], "same"),
        ("|\n      chunked_transfer_encoding  off ;\n", ["ING203"], None),
        ("|\n      proxy_set_header 'X-Accel-Buffering' \"no\";\n", ["ING202"], None),
        ("|\n      proxy_set_header X-Other no;\n      proxy_set_header ;\n", [], "same"),
        ("|\n      if ($a) { chunked_transfer_encoding off; }\n", ["ING203"], "same"),
    ],
)
def test_lines_of_snippets_are_reported_and_removed(
    snippet: str, expected: list[str], after: str | None
) -> None:
    text = ingress(f"configuration-snippet: {snippet}".rstrip("\n"))
    assert codes(text) == expected
    wanted = (
        text if after == "same"
        else ingress() if after is None
        else ingress(f"configuration-snippet: {after}".rstrip("\n"))
    )  # fmt: skip
    assert fixed(text) == wanted


def test_a_snippet_on_the_line_of_another_value_is_not_edited() -> None:
    text = (
        f"kind: Ingress\nmetadata: {{annotations: {{{PREFIX}configuration-snippet: "
        '"proxy_buffering off;"}}\n'
        "spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: /v1}]}}]}"
    )
    assert codes(text) == ["ING201"]
    assert fixed(text) == text


@pytest.mark.parametrize("value", ["off", "No", "3600", "1.5", "-1", "~", "null", "TRUE"])
def test_values_that_are_not_strings_are_reported_and_quoted(value: str) -> None:
    text = ingress(f"x: {value}")
    assert codes(text) == ["ING204"]
    assert fixed(text) == ingress(f'x: "{value}"')


@pytest.mark.parametrize("value", ["", "&a off", "!!str off"])
def test_values_that_cannot_be_quoted_in_place_are_not_edited(value: str) -> None:
    text = ingress(f"x: {value}".rstrip())
    assert codes(text) == ([] if value else ["ING204"])
    assert fixed(text) == text


@pytest.mark.parametrize("value", ["5m", "off-peak", "/", '"off"', "'3600'", "|\n      off"])
def test_other_values_have_no_findings(value: str) -> None:
    assert codes(ingress(f"x: {value}")) == []


def test_values_are_quoted_before_they_are_fixed() -> None:
    text = ingress("proxy-buffering: on", "proxy-read-timeout: 10")
    assert codes(text) == ["ING101", "ING204", "ING401", "ING204"]
    assert fixed(text) == ingress('proxy-buffering: "off"', 'proxy-read-timeout: "3600"')


def test_a_shared_value_is_not_edited() -> None:
    text = ingress('a: &a "on"', "proxy-buffering: *a")
    assert codes(text) == ["ING101"]
    assert fixed(text) == text


@pytest.mark.parametrize(
    ("value", "after"), [("3600s", "3600"), ("10m", "600"), ("500ms", "1"), ("1h", "3600")]
)
def test_units_are_removed(value: str, after: str) -> None:
    text = ingress(f'proxy-send-timeout: "{value}"')
    assert codes(text) == ["ING205"]
    assert fixed(text) == ingress(f'proxy-send-timeout: "{after}"')


@pytest.mark.parametrize(
    ("value", "heartbeat_s", "fires"),
    [("29", 15, True), ("30", 15, False), ("0", 15, True), ("x", 15, False), ("60", 31, True)],
)
def test_limits_are_compared_with_the_heartbeat(
    value: str, heartbeat_s: float, fires: bool
) -> None:
    text = ingress(f'proxy-read-timeout: "{value}"')
    assert codes(text, heartbeat_s=heartbeat_s) == ["ING401"] * fires


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("proxy-buffering: 'on'", ["ING102"]),
        ("proxy-buffering: 'on', use-gzip: 'true'", ["ING102"]),
        ("proxy-buffering: 'on', use-gzip: 'true', gzip-types: 'text/css,*'", ["ING103"]),
        ("proxy-buffering: 'on', use-gzip: 'false', gzip-types: '*'", ["ING102"]),
        ("use-gzip: 'true', gzip-types: '*'", []),
        ("worker-shutdown-timeout: '4m'", []),
        ("worker-shutdown-timeout: '3m'", ["ING403"]),
        ("worker-shutdown-timeout: '3 m'", []),
        ("proxy-buffering: off, other: off", ["ING204"]),
        ("proxy-read-timeout: '29'", ["ING402"]),
    ],
)
def test_the_config_map_is_linted_as_a_whole(data: str, expected: list[str]) -> None:
    text = f"kind: ConfigMap\nmetadata: {{name: nginx-configuration}}\ndata: {{{data}}}\n"
    assert codes(text) == expected
    assert codes(fixed(text)) == []
    assert all(severity != Severity.ERROR for _, _, severity in reported(text))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("proxy-read-timeout: '3600'", []),
        ("proxy-read-timeout: '10'", ["ING402"]),
        ("proxy-send-timeout: '10'", ["ING401"]),
    ],
)
def test_the_limit_of_the_config_map_replaces_the_default(key: str, expected: list[str]) -> None:
    config = f"kind: ConfigMap\nmetadata: {{name: nginx}}\ndata: {{{key}, use-gzip: 'false'}}\n"
    found = codes(f"{ingress()}---\n{config}", heartbeat_s=None)
    assert [one for one in found if one.startswith("ING4")] == expected


@pytest.mark.parametrize(
    ("prefix", "expected"), [("nginx.org/", []), ("nginx.com/", []), ("example.org/", ["ING401"])]
)
def test_an_ingress_for_the_controller_of_f5_has_no_findings(
    prefix: str, expected: list[str]
) -> None:
    text = ingress().replace("    a: b\n", f"    {prefix}proxy-read-timeout: 10s\n")
    assert codes(text, heartbeat_s=None) == expected


def test_the_default_limit_applies_to_an_ingress_without_annotations() -> None:
    text = ingress().replace("  annotations:\n    a: b\n", "  name: chat\n")
    assert codes(text, heartbeat_s=None) == ["ING401"]
    assert fixed(text) == text
    assert codes(text, heartbeat_s=10) == []


def test_invalid_yaml_is_rejected_with_its_position() -> None:
    with pytest.raises(ConfigSyntaxError) as caught:
        reported("kind: Ingress\n  a: [")
    assert caught.value.line == 2


@pytest.mark.parametrize("upstream", ["http://vllm.models.svc:8000", "http://10.0.0.7:8000/"])
def test_rendered_configurations_are_complete_and_have_no_findings(upstream: str) -> None:
    text = DIALECT.render(RenderRequest(upstream=upstream, path="/v1/"))
    assert reported(text) == []
    assert recognise_dialect("a.yaml", text) is DIALECT
    kinds = [root.get("kind") for root in read_yaml(Source("f", text)).roots]
    assert [kind.text for kind in kinds if kind] == (
        ["Ingress", "Service"] + ["EndpointSlice"] * ("10.0" in upstream)
    )
    assert "8000" in text


@pytest.mark.parametrize("wrong", [{"upstream": "https://a:1"}, {"path": "/a: b"}, {"path": "x"}])
def test_values_that_are_invalid_in_a_manifest_are_rejected(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        DIALECT.render(replace(RenderRequest(upstream="http://a:1"), **wrong))  # type: ignore[arg-type]


@pytest.mark.slow
@given(text=damaged_texts(TEXTS))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(DIALECT, text) == []


@pytest.mark.deep
@given(text=damaged_texts(TEXTS))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(DIALECT, text) == []
