"""Kubernetes manifests from bug reports, and variants of them with the same faults."""

from __future__ import annotations

import os

import pytest

from support.lint_reports import lint_files
from support.undam_command import invoke


def route(rule: str = "", *, name: str = "vllm", gateway: str = "gw", path: str = "/v1") -> str:
    return f"""\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}}}
spec:
  parentRefs: [{{name: {gateway}}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
      {rule}
      backendRefs: [{{name: {name}, port: 8000}}]
"""


def gateway(class_name: str, name: str = "gw") -> str:
    return f"""\
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{name: {name}}}
spec: {{gatewayClassName: {class_name}}}
"""


def policy(spec: str, *, kind: str = "HTTPRoute", name: str = "vllm") -> str:
    return f"""\
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: BackendTrafficPolicy
metadata: {{name: p-{kind.lower()}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: {kind}, name: {name}}}]
  {spec}
"""


def test_reported_files_are_read_with_their_faults() -> None:
    found = lint_files(
        {
            "g01.yaml": route("timeouts: {request: 30s, backendRequest: 20s}"),
            "a/g02.yaml": policy(
                "timeout: {http: {requestTimeout: 60s}}\n  retry: {perRetry: {timeout: 60s}}",
                name="tgi",
            ),
            "b/g03.yaml": """\
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: main}]
  timeout:
    http: {streamIdleTimeout: 10s, requestReceivedTimeout: 10s}
""",
            "c/g04.yaml": """\
apiVersion: aigateway.envoyproxy.io/v1alpha1
kind: AIGatewayRoute
metadata: {name: r}
spec:
  rules:
    - backendRefs: [{name: vllm}]
""",
        },
    )
    assert found.places == [
        "GWA403 a/g02.yaml:7",
        "GWA405 a/g02.yaml:8",
        "GWA404 b/g03.yaml:7",
        "GWA401 c/g04.yaml:6",
        "GWA402 g01.yaml:8",
        "GWA402 g01.yaml:8",
    ]
    assert "60 s" in found.message("GWA401")
    assert found.report["passed_over"] == []


@pytest.mark.parametrize(
    ("class_name", "expected"),
    [
        ("eg", ["GWA401 error"]),
        ("envoy-ai-gateway-basic", ["GWA401 error"]),
        ("kgateway", ["GWA401 error"]),
        ("gke-l7-rilb", ["GWA401 error"]),
        ("istio", []),
        ("traefik", []),
        ("nginx", ["GWA406 warning"]),
        ("kong", ["GWA406 warning"]),
        ("our-gateway", ["GWA401 info"]),
    ],
)
def test_the_default_timeout_depends_on_the_implementation(
    class_name: str, expected: list[str]
) -> None:
    # The Gateway resource is in another file in the same folder.
    found = lint_files({"route.yaml": route(), "gateway.yaml": gateway(class_name)})
    assert found.codes == expected


def test_the_timeout_of_an_agentgateway_policy_limits_the_whole_response() -> None:
    agent = """\
apiVersion: agentgateway.dev/v1alpha1
kind: AgentgatewayPolicy
metadata: {name: p}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: vllm}]
  traffic: {timeouts: {request: 20s}}
"""
    assert lint_files({"p.yaml": agent}).places == ["GWA403 p.yaml:6"]
    assert lint_files({"p.yaml": agent.replace("name: vllm", "name: shop")}).faults == []
    assert lint_files({"p.yaml": agent.replace("20s", "0s")}).codes == []


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ("", ["KIN404 warning"]), ("timeout_ms: 10000", ["KIN403 error"]),
        ("timeout_ms: 0", []), ("timeout_ms: 0, idle_timeout_ms: 60000", ["KIN401 warning"]),
        ("timeout_ms: 7200000, idle_timeout_ms: 3600000", []),
    ],
)  # fmt: skip
def test_a_mapping_of_emissary_limits_the_whole_response(limits: str, codes: list[str]) -> None:
    mapping = f"""\
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: m}}
spec: {{hostname: "*", prefix: /v1/, service: "vllm:8000"{", " * bool(limits)}{limits}}}
"""
    found = lint_files({"m.yaml": mapping})
    assert found.codes == codes
    if not limits:
        assert "after 3 s" in found.message("KIN404")
        assert "because a Module was not read" in found.message("KIN404")
    assert lint_files({"m.yaml": mapping.replace("vllm:8000", "shop:80")}).codes == []


def test_a_policy_in_another_file_decides_about_the_timeout() -> None:
    files = {"route.yaml": route(), "gateway.yaml": gateway("eg")}
    assert lint_files(files).faults == ["GWA401"]
    disabled = policy("timeout: {http: {requestTimeout: 0s}}", kind="Gateway", name="gw")
    assert lint_files({**files, "policy.yaml": disabled}).faults == []
    replaced = policy("rateLimit: {type: Global}")
    found = lint_files({**files, "policy.yaml": disabled, "limits.yaml": replaced})
    assert found.places == ["GWA201 route.yaml:3"]
    merged = policy("mergeType: StrategicMerge\n  rateLimit: {type: Global}")
    assert lint_files({**files, "policy.yaml": disabled, "limits.yaml": merged}).faults == []


def test_a_policy_of_a_route_that_does_not_stream_is_not_reported() -> None:
    short = policy("timeout: {http: {requestTimeout: 5s}}", name="cart")
    found = lint_files({"route.yaml": route(name="cart", path="/cart"), "policy.yaml": short})
    assert (found.codes, found.code) == ([], 0)


def test_a_timeout_of_the_rule_takes_precedence_over_the_policy() -> None:
    found = lint_files(
        {
            "route.yaml": route("timeouts: {request: 0s}"),
            "policy.yaml": policy("timeout: {http: {requestTimeout: 20s}}"),
        }
    )
    assert found.codes == []


def test_services_and_deployments_show_what_is_behind_a_route() -> None:
    service = """\
apiVersion: v1
kind: Service
metadata: {name: backend}
spec: {selector: {app: model}, ports: [{port: 8000}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: model}
spec:
  template:
    metadata: {labels: {app: model}}
    spec: {containers: [{image: "IMAGE", command: [COMMAND]}]}
"""
    plain = route(name="backend", path="/api")
    for image, command, expected in (
        ("vllm/vllm-openai:v0.11", "serve", ["GWA401"]),
        ("registry.local/engine:1", "python, -m, sglang.launch_server", ["GWA401"]),
        ("postgres:16", "postgres", []),
    ):
        manifests = service.replace("IMAGE", image).replace("COMMAND", command)
        files = {"route.yaml": plain + gateway("eg"), "service.yaml": manifests}
        assert lint_files(files).faults == expected, image


def test_a_file_with_resources_of_several_controllers_is_linted_by_each() -> None:
    rendered = (
        route()
        + gateway("eg")
        + """\
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: ollama
  annotations: {nginx.ingress.kubernetes.io/proxy-buffering: "on"}
spec:
  ingressClassName: nginx
  rules: [{http: {paths: [{path: /api/chat, backend: {service: {name: ollama}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: vllm}
spec:
  hosts: [vllm]
  http: [{timeout: 30s, route: [{destination: {host: vllm}}]}]
"""
    )
    found = lint_files({"all.yaml": rendered}, "--select", "GWA,IST,ING101")
    assert found.codes == ["GWA401 error", "ING101 warning", "IST401 error"]
    result = invoke("fix", "all.yaml", "--unsafe", "--write")
    assert result.code in {0, 1}
    assert lint_files({}, "--select", "GWA,IST,ING101").codes == []


def test_standard_input_and_pipes_are_recognised_by_their_content() -> None:
    text = route() + gateway("eg")
    result = invoke("lint", "-", "--json", stdin=text)
    assert [one["code"] for one in result.json["findings"]] == ["GWA401"]
    reader, writer = os.pipe()
    os.write(writer, text.encode())
    os.close(writer)
    try:
        result = invoke("lint", f"/dev/fd/{reader}", "--json")
    finally:
        os.close(reader)
    assert [one["code"] for one in result.json["findings"]] == ["GWA401"]


def test_a_patch_of_kustomize_is_read_with_its_positions() -> None:
    patch = route("timeouts: {request: 30s}").replace("\n", "\n      ")
    found = lint_files(
        {"kustomization.yaml": f"resources: [base]\npatches:\n  - patch: |\n      {patch}\n"}
    )
    assert found.places == ["GWA402 kustomization.yaml:11"]
    plain = "metadata: {name: vllm}\nkind: HTTPRoute\nspec: {}\n"
    assert lint_files({"patch.yaml": plain, "kustomization.yaml": "resources: []\n"}).codes == []


def test_a_hole_in_a_template_makes_a_missing_timeout_uncertain() -> None:
    template = route(
        "{{- with .Values.timeouts }}\n      {{ toYaml . | nindent 6 }}\n      {{- end }}"
    )
    found = lint_files({"templates/route.yaml": template + gateway("eg")})
    assert found.codes == ["GWA401 warning"]
    assert "was not read" in found.message("GWA401")


def test_an_old_envoy_gateway_resets_the_timeouts_of_a_route_with_a_policy() -> None:
    files = {
        "route.yaml": route("timeouts: {request: 0s}") + gateway("eg"),
        "policy.yaml": policy("rateLimit: {type: Global}"),
    }
    assert lint_files(files).codes == []
    assert lint_files(files, "--target", "envoy-gateway=1.1.2").codes == ["GWA202 error"]
    assert lint_files(files, "--target", "envoy-gateway=1.2").codes == []


def test_a_gke_ingress_without_its_backend_config_in_view_is_uncertain() -> None:
    ingress = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: vllm}
spec:
  ingressClassName: gce
  rules: [{http: {paths: [{path: /v1, backend: {service: {name: vllm, port: {number: 80}}}}]}}]
"""
    service = """\
---
apiVersion: v1
kind: Service
metadata:
  name: vllm
  annotations: {cloud.google.com/backend-config: '{"default": "slow"}'}
"""
    assert lint_files({"a.yaml": ingress}).codes == ["KIN404 warning"]
    assert lint_files({"a.yaml": ingress + service}).codes == ["KIN404 warning"]
    plain = ingress + "---\napiVersion: v1\nkind: Service\nmetadata: {name: vllm}\n"
    assert lint_files({"a.yaml": plain}).codes == ["KIN404 error"]
    config = "apiVersion: cloud.google.com/v1\nkind: BackendConfig\nmetadata: {name: slow}\n"
    files = {"a.yaml": ingress + service, "b.yaml": f"{config}spec: {{timeoutSec: 45}}\n"}
    found = lint_files(files)
    assert found.codes == ["KIN403 error"]


def test_heartbeats_of_an_engine_in_view_count_for_idle_limits() -> None:
    ingress = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: vllm
  annotations: {alb.ingress.kubernetes.io/target-type: ip}
spec:
  ingressClassName: alb
  rules: [{http: {paths: [{path: /v1, backend: {service: {name: vllm, port: {number: 80}}}}]}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm}
spec:
  template:
    spec:
      containers:
        - image: vllm/vllm-openai
          args: [--model, m, --sse-keep-alive-interval, "15"]
"""
    assert lint_files({"a.yaml": ingress}).codes == []
    assert lint_files({"a.yaml": ingress.replace('"15"', '"45"')}).codes == ["KIN402 warning"]
