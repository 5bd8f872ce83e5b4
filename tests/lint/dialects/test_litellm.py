"""LiteLLM rules: guardrails that buffer, limits, and the gateway's hop."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import (
    Hop,
    RenderRequest,
    RouteOutcome,
    Source,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)
from undam.lint.discovery.embedded_configs import find_embedded
from undam.lint.files import FileUse
from undam.lint.registry import recognise_dialects

LITELLM = dialect_named("litellm")
CORPUS = sorted((Path(__file__).parents[1] / "corpus" / "litellm").glob("*"))
MODEL = "model_list:\n- {model_name: m, litellm_params: {model: openai/m}}\n"


def found(text: str, **options: object) -> list[str]:
    result = lint_source(LITELLM, Source("config.yaml", text), with_heartbeats(**options))
    return [f"{one.line} {one.rule.code} {one.severity}" for one in result.diagnostics]


def hop_of(text: str) -> Hop:
    routes = lint_source(LITELLM, Source("config.yaml", text), with_heartbeats()).routes
    (hop,) = (one.hop for one in routes if one.hop is not None)
    return hop


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(file.name, text) is LITELLM
    expected = {
        "stream-short.yaml": ["7 LIT401 error", "8 LIT402 warning"],
        "stream-bedrock.yaml": ["8 LIT101 error"],
        "stream-router.yaml": ["13 LIT401 error", "14 LIT402 warning"],
        "stream-flag.yaml": ["9 LIT101 error", "11 LIT401 warning"],
    }
    assert found(text) == expected.get(file.name, [])


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("litellm_settings: {request_timeout: 30}\n", ["3 LIT401 error"]),
        ("litellm_settings: {request_timeout: 3600}\n", []),
        ("litellm_settings: {request_timeout: os.environ/T}\n", []),
        ("router_settings: {timeout: 90}\nlitellm_settings: {request_timeout: 30}\n",
         ["3 LIT401 warning"]),
        ("router_settings: {stream_timeout: 0}\n", []),
        ("guardrails: [{guardrail_name: g}, {litellm_params: {guardrail: bedrock}}]\n", []),
        ("guardrails: [{litellm_params: {guardrail: lakera, mode: post_call}}]\n", []),
        (("guardrails: [{litellm_params: {mode: post_call, "
         "streaming_buffer_until_moderated: True}}]\n"), ["3 LIT101 error"]),
        (("guardrails: [{litellm_params: {guardrail: bedrock, mode: post_call, "
         "streaming_buffer_until_moderated: null}}]\n"), ["3 LIT101 error"]),
    ],
)  # fmt: skip
def test_settings_of_the_whole_gateway(more: str, expected: list[str]) -> None:
    assert found(MODEL + more) == expected


def test_a_flag_is_replaced_and_an_absent_one_is_inserted() -> None:
    text = MODEL + "guardrails:\n- litellm_params:\n    guardrail: bedrock\n    mode: post_call\n"
    mended = fix_source(LITELLM, Source("c.yaml", text), with_heartbeats(), unsafe=True)
    assert "streaming_buffer_until_moderated: false" in mended
    assert found(mended) == []
    aliased = MODEL + (
        "x: &p {guardrail: bedrock, mode: post_call}\nguardrails: [{litellm_params: *p}]\n"
    )
    assert found(aliased) == ["3 LIT101 error"]


def test_only_stated_paths_count_if_any_are_stated() -> None:
    text = MODEL + "litellm_settings: {request_timeout: 30}\n"
    assert found(text, stream_paths=("/v1/",)) == ["3 LIT401 error"]
    assert found(text, stream_paths=("/events",)) == []


def test_the_hop_has_all_upstreams_and_drops_heartbeats() -> None:
    text = """\
model_list:
- {model_name: e, litellm_params: {model: openai/e}, model_info: {mode: embedding}}
- {model_name: a, litellm_params: {model: openai/a, api_base: "http://vllm:8000/v1"}}
- {model_name: b, litellm_params: {model: anthropic/b, api_base: os.environ/BASE}}
- {model_name: c}
general_settings: {sse_keepalive_ping_interval_seconds: 10}
router_settings: {timeout: 900}
"""
    hop = hop_of(text)
    assert hop.upstreams == ("openai API", "http://vllm:8000/v1", "anthropic API")
    assert (hop.heartbeat_s, hop.drops_heartbeats) == (10.0, True)
    assert (hop.total_limit_s, hop.total_at) == (900.0, ("config.yaml", 7))
    assert hop_of(MODEL).total_limit_s == 6000.0
    assert hop_of(MODEL + "litellm_settings: {request_timeout: x}\n").total_limit_s == 6000.0


def test_texts_without_models() -> None:
    assert found("") == []
    assert found("model_list: []\nlitellm_settings: {request_timeout: 5}\n") == []
    result = lint_source(LITELLM, Source("c.yaml", "model_list: [x, {}]\n"), with_heartbeats())
    assert [one.outcome for one in result.routes] == [RouteOutcome.STREAMS]
    assert not LITELLM.recognises("a.yaml", "model_list: [a]\n")
    assert not LITELLM.recognises("a.txt", MODEL)
    assert not LITELLM.recognises("a.yaml", "services: {}\n")


NESTED = """\
{}proxy_config:
{}  model_list:
{}  - model_name: m
{}    litellm_params: {{model: openai/m, timeout: {}}}
"""


@pytest.mark.parametrize(("limit", "expected"), [("30", ["LIT401 error"]), ("3600", [])])
def test_a_configuration_inside_the_values_of_a_chart_is_read(
    limit: str, expected: list[str]
) -> None:
    for outer, indent in (("", ""), ("litellm:\n", "  "), ("a:\n  b:\n", "    ")):
        text = outer + NESTED.format(*[indent] * 4, limit)
        assert LITELLM.recognises("values.yaml", text)
        assert [one.partition(" ")[2] for one in found(text)] == expected


def test_a_configuration_is_found_in_a_config_map_and_in_a_later_document() -> None:
    inner = "    " + MODEL.replace("\n", "\n    ").replace("openai/m", "openai/m, timeout: 9")
    text = f"kind: ConfigMap\ndata:\n  config.yaml: |\n{inner}\n"
    (one,) = find_embedded(Source("cm.yaml", text), FileUse.CONFIGURATION, "cm.yaml")
    assert one.dialect is LITELLM
    assert found(f"a: 1\n---\n{MODEL}litellm_settings: {{request_timeout: 30}}\n") == [
        "5 LIT401 error"
    ]
    assert found("a: {b: {c: {d: {e: {model_list: []}}}}}\n") == []
    assert found("model_list: none\nx: litellm_params\n") == []


def test_values_with_an_ingress_are_linted_in_both_dialects() -> None:
    annotations = "nginx.ingress.kubernetes.io/proxy-buffering: 'on'"
    ingress = f"ingress:\n  enabled: true\n  annotations:\n    {annotations}\n"
    text = ingress + NESTED.format("", "", "", "", 30)
    names = [one.name for one in recognise_dialects("values.yaml", text)]
    assert names == ["ingress-nginx", "litellm"]


def test_the_rendered_configuration_has_heartbeats_and_no_findings() -> None:
    text = LITELLM.render(RenderRequest(upstream="http://vllm:8000"))
    assert found(text) == []
    assert hop_of(text).heartbeat_s == 15.0
