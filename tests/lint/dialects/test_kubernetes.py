"""Kubernetes dialects: evidence in adjacent files, unusual syntax, and hop descriptions."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from support.dialect_harness import with_heartbeats
from undam.errors import UsageError
from undam.lint import LintResult, RenderRequest, Source, dialect_named, fix_source, lint_source
from undam.lint.evidence.hop import Hop, limit_s
from undam.lint.evidence.neighbours import Neighbours
from undam.lint.kubernetes.durations import seconds_in
from undam.lint.kubernetes.resources import Resource, read_resources, resources_of_neighbour
from undam.lint.kubernetes.workloads import service_witnesses, workloads_in

RENDERED = ("gateway-api", "istio", "traefik-crd", "kubernetes-ingress", "kserve", "ingress-nginx")


def lint(dialect: str, text: str, beside: str = "", **options: object) -> LintResult:
    chosen = with_heartbeats(**options)
    if beside:
        chosen = replace(chosen, neighbours=Neighbours(manifests=(("beside.yaml", beside),)))
    return lint_source(dialect_named(dialect), Source("f.yaml", text), chosen)


def reported(dialect: str, text: str, beside: str = "", **options: object) -> list[str]:
    found = lint(dialect, text, beside, **options).diagnostics
    return [f"{one.rule.code} {one.severity}" for one in found]


def hop_of(dialect: str, text: str, beside: str = "") -> Hop:
    (route,) = lint(dialect, text, beside).routes
    assert route.hop is not None
    return route.hop


def resources(text: str) -> tuple[Resource, ...]:
    return read_resources(Source("f.yaml", text))[0]


def route(rule: str, kind: str = "HTTPRoute", gateway: str = "eg") -> str:
    return (
        f"apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: vllm}}\n"
        f"spec: {{parentRefs: [{{name: {gateway}}}], rules: [{{{rule}}}]}}\n"
    )


def policy(kind: str, target: str, spec: str, group: str = "gateway.envoyproxy.io") -> str:
    return (
        f"---\napiVersion: {group}/v1alpha1\nkind: {kind}\nmetadata: {{name: p}}\n"
        f"spec:\n  {target}\n  {spec}\n"
    )


OF_GATEWAY = "targetRefs: [{kind: Gateway, name: eg}]"
OF_ROUTE = "targetRef: {kind: HTTPRoute, name: vllm}"
OF_SERVICE = "targetRef: {kind: Service, name: vllm}"
BACKEND = "backendRefs: [{name: vllm, port: 8000}]"
CHAT = "matches: [{path: {type: PathPrefix, value: /v1/chat/completions}}]"


# Durations


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30), ("1h30m", 5400), ("300ms", 0.3), ("45", 45), ("1.5s", 1.5), ("0s", 0),
        ("infinity", math.inf), ("1d", 86400), ("ξξξ", None), ("", None), ("s", None),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_in(text) == seconds


def test_a_bare_number_has_the_unit_of_its_program() -> None:
    assert seconds_in("2500", bare_unit_s=0.001) == 2.5
    assert (limit_s(0), limit_s(5), limit_s(None)) == (math.inf, 5, None)


# Resources and workloads


def test_lists_are_opened_and_names_of_kinds_that_end_with_list_are_not() -> None:
    text = (
        "kind: List\nitems:\n- {kind: Service, apiVersion: v1, metadata: {name: a}}\n"
        "- kind: List\n  items: [{kind: Pod}]\n---\nkind: AllowList\n---\njust: text\n"
    )
    assert [(one.kind, one.group, one.name) for one in resources(text)] == [
        ("AllowList", "", ""),
        ("Service", "", "a"),
        ("Pod", "", ""),
    ]


def test_a_neighbour_that_cannot_be_parsed_has_no_resources() -> None:
    assert resources_of_neighbour("a.yaml", "kind: [") == ()
    (one,) = resources_of_neighbour("b.yaml", "kind: Service\nmetadata:\n  {{ .Values.m }}\n")
    assert one.kind == "Service"
    assert one.line == 1
    assert one.hole() == "{{ .Values.m }} at line 3"
    assert resources("kind: Service\n")[0].hole() is None
    text = "kind: A\n---\nkind: B\n{{ .Values.m }}\n---\nkind: C\n"
    holes = [one.hole() for one in resources_of_neighbour("c.yaml", text)]
    assert holes == [None, "{{ .Values.m }} at line 4", None]


WORKLOADS = """\
kind: StatefulSet
metadata: {name: engine}
spec:
  template:
    metadata: {labels: {app: engine, tier: gpu}}
    spec:
      terminationGracePeriodSeconds: 600
      containers:
        - {image: envoyproxy/envoy:v1.40}
        - image: vllm/vllm-openai:v0.11
          args: [--sse-keep-alive-interval, "20"]
          lifecycle: {preStop: {exec: {command: [sleep, "20"]}}}
          readinessProbe: {httpGet: {path: /health}}
          ports: [{containerPort: 8000}, {containerPort: http}]
---
kind: Pod
metadata: {name: ξξξ, labels: {app: ollama}}
spec: {terminationGracePeriodSeconds: ξξ, containers: [{image: ollama/ollama}]}
---
kind: Deployment
metadata: {name: web}
spec: {template: {spec: {containers: [{image: nginx}]}}}
---
kind: Deployment
metadata: {name: empty}
---
kind: Service
apiVersion: v1
metadata: {name: models}
spec: {selector: {app: engine}}
---
kind: Service
apiVersion: v1
metadata: {name: canary}
spec: {selector: {app: engine, track: canary}}
---
kind: Service
apiVersion: v1
metadata: {name: chat}
spec: {selector: {app: ollama}}
---
kind: Service
apiVersion: v1
metadata: {name: headless}
spec: {}
"""


def test_workloads_are_read_with_their_image_flags_and_shutdown() -> None:
    engine, pod, web = workloads_in(resources(WORKLOADS))
    assert engine.profile is not None
    assert (engine.profile.name, engine.image) == ("vllm", "vllm/vllm-openai:v0.11")
    assert (engine.ports, engine.grace_s, engine.heartbeat_s) == ((8000,), 600, 20)
    assert engine.has_pre_stop
    assert engine.has_readiness
    assert (pod.grace_s, pod.has_pre_stop, pod.heartbeat_s) == (30, False, None)
    assert web.profile is None


def test_services_lead_to_the_programs_of_their_pods() -> None:
    known = resources(WORKLOADS)
    found = service_witnesses(known, workloads_in(known))
    assert {name: one.image for name, one in found.items()} == {
        "models": "vllm/vllm-openai:v0.11",
        "engine": "vllm/vllm-openai:v0.11",
        "chat": "ollama/ollama",
    }


# Gateway API


def test_policies_of_gateways_and_services_affect_the_routes_behind_them() -> None:
    clients = policy("ClientTrafficPolicy", OF_GATEWAY, "timeout: {http: {streamIdleTimeout: 9s}}")
    timeouts = "timeouts: {request: 0s}, "
    for rule, expected in ((BACKEND, ["GWA404 error"]), (timeouts + BACKEND, [])):
        assert reported("gateway-api", clients, route(rule)) == expected
    backend = policy(
        "GCPBackendPolicy", OF_SERVICE, "default: {timeoutSec: 20}", "networking.gke.io"
    )
    assert reported("gateway-api", backend, route(BACKEND)) == ["GWA403 error"]
    other = "backendRefs: [{name: shop}]"
    assert reported("gateway-api", backend, route(other, gateway="gke-l7-rilb")) == ["GWA403 error"]
    unrelated = backend.replace("name: vllm", "name: cart")
    assert reported("gateway-api", unrelated, route(BACKEND)) == []
    assert reported("gateway-api", unrelated.replace("cart", "main")) == ["GWA403 info"]


def test_a_policy_of_another_kind_of_gateway_decides_about_the_timeout() -> None:
    kgateway = policy("TrafficPolicy", OF_ROUTE, "timeouts: {request: 0s}", "gateway.kgateway.dev")
    assert reported("gateway-api", route(BACKEND, gateway="kgateway"), kgateway) == []
    selected = policy(
        "BackendTrafficPolicy", "targetSelectors: [{kind: HTTPRoute}]",
        "timeout: {http: {requestTimeout: 0s}}",
    )  # fmt: skip
    assert reported("gateway-api", route(BACKEND), selected) == []
    proxy = policy("ProxySettingsPolicy", OF_ROUTE, "timeout: {read: 1h}", "gateway.nginx.org")
    text = route(BACKEND, gateway="nginx-gateway")
    assert reported("gateway-api", text, heartbeat_s=45.0) == ["GWA406 warning"]
    assert reported("gateway-api", text, proxy, heartbeat_s=45.0) == []
    service = "kind: Service\nmetadata: {annotations: {konghq.com/read-timeout: '900000'}}\n"
    assert reported("gateway-api", route(BACKEND, gateway="kong"), service, heartbeat_s=45.0) == []


def test_a_policy_of_the_route_replaces_that_of_its_gateway() -> None:
    outer = policy("BackendTrafficPolicy", OF_GATEWAY, "timeout: {http: {requestTimeout: 0s}}")
    inner = policy("BackendTrafficPolicy", OF_ROUTE, "rateLimit: {type: Global}")
    assert reported("gateway-api", route(BACKEND), outer + inner) == ["GWA201 error"]
    assert reported("gateway-api", route(BACKEND), outer) == []
    own = route(f"timeouts: {{request: 0s}}, {BACKEND}")
    assert reported("gateway-api", own, inner) == []


def test_the_controller_of_a_gateway_class_is_stronger_than_its_name() -> None:
    gateway = (
        "kind: Gateway\nmetadata: {name: eg}\nspec: {gatewayClassName: envoy}\n---\n"
        "kind: GatewayClass\nmetadata: {name: envoy}\nspec: {controllerName: CONTROLLER}\n"
    )
    for controller, expected in (
        ("istio.io/gateway-controller", []),
        ("gateway.envoyproxy.io/gatewayclass-controller", ["GWA401 error"]),
        ("example.com/own", []),
    ):
        beside = gateway.replace("CONTROLLER", controller)
        assert reported("gateway-api", route(BACKEND), beside) == expected, controller


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("matches: [{method: {service: s.Chat, method: Stream}}], " + BACKEND, ["GWA401 error"]),
        ("matches: [{headers: [{name: x, value: y}]}], " + BACKEND, ["GWA401 error"]),
        ("matches: [{path: {type: RegularExpression, value: '^/v1/.*'}}], " + BACKEND,
         ["GWA401 error"]),
        ("backendRefs: [{kind: InferencePool, name: pool}]", ["GWA401 error"]),
        ("matches: [{headers: [{name: x-model, value: text-embedding-3}]}], " + BACKEND, []),
        ("timeouts: {backendRequest: ξξξ}, " + BACKEND, []),
        ("timeouts: {request: 0s}, " + CHAT, []),
        (CHAT, ["GWA401 error"]),
        ("matches: [{path: {value: /healthz}}], " + BACKEND, []),
        ("timeouts: {request: 0s}, streamIdleTimeout: 9s, " + CHAT, ["GWA404 error"]),
        ("timeouts: {request: 0s}, streamIdleTimeout: ξξ, " + CHAT, []),
    ],
)  # fmt: skip
def test_rules_with_unusual_matches(rule: str, expected: list[str]) -> None:
    assert reported("gateway-api", route(rule)) == expected


def test_the_rules_of_an_llm_inference_service_are_read() -> None:
    text = (
        "apiVersion: serving.kserve.io/v1alpha1\nkind: LLMInferenceService\n"
        "metadata: {name: chat}\nspec: {router: {route: {http: {spec: {rules: [{RULE}]}}}}}\n"
    )
    assert dialect_named("gateway-api").recognises("f.yaml", text)
    short = text.replace("RULE", "timeouts: {request: 60s, backendRequest: 0s}")
    assert reported("gateway-api", short) == ["GWA402 error"]
    assert reported("gateway-api", text.replace("RULE", "name: a")) == []


def test_missing_timeouts_are_inserted_where_the_resource_allows_them() -> None:
    dialect, settings = dialect_named("gateway-api"), with_heartbeats()
    for text, expected in (
        (route(f"timeouts: {{}}, {BACKEND}"), "timeouts: {request: 0s}"),
        (route(BACKEND), "timeouts: {request: 0s}"),
    ):
        assert expected in fix_source(dialect, Source("f.yaml", text), settings)
    grpc = route(BACKEND, "GRPCRoute")
    assert fix_source(dialect, Source("f.yaml", grpc), settings) == grpc


def test_a_stated_path_decides_about_rules() -> None:
    text = route(CHAT + ", backendRefs: [{kind: InferencePool, name: pool}]")
    assert reported("gateway-api", text, stream_paths=("/other",)) == []
    assert reported("gateway-api", text, stream_paths=("/v1",)) == ["GWA401 error"]


def test_a_patch_without_a_limit_is_not_reported() -> None:
    patch = (
        "targetRef: {kind: Gateway, name: llm}\n  jsonPatches:\n"
        "  - operation: {op: replace, path: /a/route/timeout, value: [1]}\n"
        "  - operation: {op: replace, path: cluster, value: 1s}\n"
        "  - operation: {op: replace, path: /a/stream_idle_timeout, value: ξξ}\n"
        "  - operation: {op: replace, path: /a/stream_idle_timeout, value: 5s}\n"
        "  - operation: {op: add, path: /a, value: {stream_idle_timeout: soon}}\n"
        "  - operation: {op: add, path: /a, value: {typed_config: {'@type': x}}}\n"
        "  - {name: x}\n"
        "type: JSONPatch"
    )
    text = policy("EnvoyPatchPolicy", patch.rpartition("\n")[0], "type: JSONPatch")
    assert reported("gateway-api", text) == ["GWA404 error"]


def test_an_extension_policy_without_buffering_is_not_reported() -> None:
    text = policy("EnvoyExtensionPolicy", OF_ROUTE, "extProc: [{processingMode: {}}, {}]")
    assert reported("gateway-api", text) == []


@pytest.mark.parametrize(("allowed", "severity"), [("true", "warning"), ("false", "error")])
def test_a_processor_that_may_override_the_mode_is_a_warning_without_a_fix(
    allowed: str, severity: str
) -> None:
    mode = f"{{allowModeOverride: {allowed}, response: {{body: Buffered}}}}"
    text = policy("EnvoyExtensionPolicy", OF_ROUTE, f"extProc: [{{processingMode: {mode}}}]")
    (found,) = lint("gateway-api", text).diagnostics
    assert (found.rule.code, found.severity, bool(found.edits)) == (
        *("GWA101", severity, allowed == "false"),
    )


@pytest.mark.parametrize(
    ("rule", "beside", "total_s", "idle_s"),
    [
        (BACKEND, "", 15, 300),
        (f"timeouts: {{request: 60s, backendRequest: 20s}}, {BACKEND}", "", 20, 3600),
        (f"timeouts: {{request: 0s}}, {BACKEND}", "", math.inf, math.inf),
        (f"timeouts: {{request: ξξ}}, {BACKEND}", "", None, 300),
        (BACKEND, policy("BackendTrafficPolicy", OF_ROUTE, "timeout: {http: {requestTimeout: 9s}}"),
         9, 3600),
    ],
)  # fmt: skip
def test_the_hop_of_a_rule_has_its_limits(
    rule: str, beside: str, total_s: float | None, idle_s: float
) -> None:
    hop = hop_of("gateway-api", route(rule), beside)
    assert (hop.title, hop.total_limit_s, hop.idle_limit_s) == ("Envoy Gateway", total_s, idle_s)
    assert (hop.names, hop.upstreams) == (("vllm", "eg"), ("vllm",))
    unknown = hop_of("gateway-api", route(BACKEND, gateway="x"))
    assert (unknown.title, unknown.total_limit_s) == ("Gateway API", None)


# Istio

FILTER = """\
apiVersion: networking.istio.io/v1
kind: EnvoyFilter
metadata: {name: NAME}
spec:
  SELECTOR
  configPatches:
  - {applyTo: ROUTE}
  - patch: {value: {route: {timeout: 20s, idle_timeout: 9s, cluster: c}, name: x}}
  - patch:
      value:
        name: gzip
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.http.compressor.v3.Compressor
          content_type: [text/event-stream]
"""


@pytest.mark.parametrize(
    ("name", "selector", "beside", "expected"),
    [
        ("limits", "a: b", "", ["IST404 info"] * 2),
        ("vllm-limits", "a: b", "", ["IST404 info"]),
        ("limits", "workloadSelector: {labels: {istio: ingressgateway}}", "ROUTE",
         ["IST404 error"] * 2),
        ("limits", "workloadSelector: {labels: {app: grafana}}", "ROUTE", []),
        ("limits", "workloadSelector: {labels: {app: app}}", "", ["IST404 info"] * 2),
    ],
)  # fmt: skip
def test_an_envoy_filter_affects_the_workloads_that_it_selects(
    name: str, selector: str, beside: str, expected: list[str]
) -> None:
    text = FILTER.replace("NAME", name).replace("SELECTOR", selector)
    virtual_service = (
        "kind: VirtualService\nmetadata: {name: v}\nspec:\n  hosts: [v]\n  http:\n"
        "  - match: [{uri: {prefix: /v1/chat/completions}}, {port: 80}, {uri: {other: x}}]\n"
        "    route: [{destination: {host: model.example.com}}]\n"
    )
    assert reported("istio", text, virtual_service if beside else "") == sorted(expected)


def test_a_destination_rule_is_compared_with_the_routes_to_its_host() -> None:
    rule = (
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: d}\n"
        "spec: {host: HOST, trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}}"
    )
    beside = (
        "kind: VirtualService\nspec: {http: [{route: [{destination: {host: other}}]},"
        " {route: [{destination: {host: shop}}]}]}\n"
    )
    assert reported("istio", rule.replace("HOST", "vllm.ai.svc.cluster.local"), beside) == [
        "IST403 info"
    ]
    assert reported("istio", rule.replace("HOST", "shop"), beside) == []


def test_the_hop_of_a_virtual_service_has_its_timeout() -> None:
    text = (
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: v}\nspec:\n"
        "  hosts: [llm.example.com]\n  http:\n  - timeout: 90s\n"
        "    route: [{destination: {host: vllm.ai.svc.cluster.local, port: {number: 80}}}]\n"
    )
    hop = hop_of("istio", text)
    assert (hop.total_limit_s, hop.total_at, hop.idle_limit_s) == (90, ("f.yaml", 7), math.inf)
    assert (hop.names, hop.upstreams) == (("v", "llm.example.com"), ("vllm",))
    assert hop_of("istio", text.replace("timeout: 90s", "name: a")).total_limit_s == math.inf


# Traefik

INGRESS_ROUTE = """\
apiVersion: traefik.io/v1alpha1
kind: IngressRoute
metadata: {name: vllm}
spec:
  routes:
    - match: PathPrefix(`/v1`)
      middlewares:
        - name: auth
        - name: limits
        - name: gzip
      services: [{name: vllm, port: 8000, serversTransport: t}]
"""
MIDDLEWARES = """\
apiVersion: traefik.io/v1alpha1
kind: Middleware
metadata: {name: limits}
spec: {buffering: {maxRequestBodyBytes: 1}}
---
kind: Middleware
metadata: {name: gzip}
spec: {compress: {}}
---
kind: Middleware
metadata: {name: auth}
"""


def test_a_middleware_of_another_file_is_reported_where_a_route_uses_it() -> None:
    found = lint("traefik-crd", INGRESS_ROUTE, MIDDLEWARES).diagnostics
    assert [(one.rule.code, one.line) for one in found] == [("TRK101", 9), ("TRK102", 10)]
    assert [bool(one.edits) for one in found] == [True, False]
    found = lint("traefik-crd", MIDDLEWARES, INGRESS_ROUTE).diagnostics
    assert [(one.rule.code, one.line) for one in found] == [("TRK101", 4), ("TRK102", 8)]
    elsewhere = "apiVersion: traefik.io/v1alpha1\nkind: ServersTransport\nmetadata: {name: u}\n"
    assert reported("traefik-crd", elsewhere, f"{INGRESS_ROUTE}---\n{MIDDLEWARES}") == []
    hop = hop_of("traefik-crd", INGRESS_ROUTE, MIDDLEWARES)
    assert (hop.buffers, hop.compresses, hop.upstreams) == (True, True, ("vllm",))


def test_an_argument_of_several_lines_has_no_finding() -> None:
    deployment = (
        "kind: Deployment\nspec:\n  command:\n  - sh\n  - |\n    traefik\n"
        "    --entryPoints.web.transport.respondingTimeouts.writeTimeout=9s\n"
    )
    assert dialect_named("traefik-crd").recognises("d.yaml", deployment)
    assert reported("traefik-crd", deployment) == []
    short = (
        "kind: Deployment\nargs: [--entryPoints.web.transport.respondingTimeouts.writeTimeout=9s]"
    )
    assert reported("traefik-crd", short) == ["TRK401 info"]
    assert reported("traefik-crd", short, stream_paths=("/v1",)) == ["TRK401 error"]


def test_files_of_other_programs_are_not_those_of_traefik() -> None:
    recognises = dialect_named("traefik-crd").recognises
    key = "traefik.ingress.kubernetes.io/router.middlewares"
    annotated = f"kind: Ingress\nmetadata: {{annotations: {{{key}: a}}}}"
    assert recognises("i.yaml", annotated)
    assert not recognises("i.txt", annotated)
    assert not recognises("i.yaml", "kind: Deployment\nimage: traefik\n")


# Ingress controllers

INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: vllm
  annotations: {ANNOTATIONS}
spec:
  ingressClassName: CLASS
  rules: [{http: {paths: [PATHS]}}]
"""
PATH = "{path: /v1, backend: {service: {name: vllm, port: {name: http}}}}"


def ingress(annotations: str, class_name: str = "alb", paths: str = PATH) -> str:
    text = INGRESS.replace("ANNOTATIONS", annotations).replace("CLASS", class_name)
    return text.replace("PATHS", paths)


def fixed_ingress(text: str) -> str:
    settings = with_heartbeats(heartbeat_s=45.0)
    return fix_source(dialect_named("kubernetes-ingress"), Source("f.yaml", text), settings)


ALB = "alb.ingress.kubernetes.io/load-balancer-attributes"


@pytest.mark.parametrize(
    ("annotations", "class_name", "expected"),
    [
        (f"{ALB}: idle_timeout.timeout_seconds=60", "alb",
         f"{ALB}: idle_timeout.timeout_seconds=3600"),
        (f"{ALB}: deletion_protection.enabled=true", "alb",
         f"{ALB}: deletion_protection.enabled=true,idle_timeout.timeout_seconds=3600"),
        ("haproxy.org/check: 'true'", "haproxy", "haproxy.org/timeout-server: 3600s"),
        ("a: b", "haproxy", "haproxy-ingress.github.io/timeout-server: 3600s"),
        ("appgw.ingress.kubernetes.io/request-timeout: '30'", "azure-application-gateway",
         "appgw.ingress.kubernetes.io/request-timeout: '3600'"),
        ("k8s.apisix.apache.org/upstream-read-timeout: 20s", "apisix",
         "k8s.apisix.apache.org/upstream-read-timeout: 3600s"),
    ],
)  # fmt: skip
def test_the_limit_on_silence_of_each_controller_can_be_raised(
    annotations: str, class_name: str, expected: str
) -> None:
    text = ingress(annotations, class_name)
    assert expected in fixed_ingress(text)
    (code,) = reported("kubernetes-ingress", text, heartbeat_s=45.0)
    assert code.startswith(("KIN401", "KIN402"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (ingress("a: b", "kong"), ["KIN402 warning"]),
        (ingress("konghq.com/read-timeout: ξξξ", "kong"), []),
        (ingress("a: b", "other"), []),
        (ingress("a: b", "azure"), []),
        (ingress("projectcontour.io/response-timeout: 30s", "contour"), ["KIN403 error"]),
        (ingress("projectcontour.io/response-timeout: infinity", "contour"), []),
        (ingress("a: b", "contour"), ["KIN404 error"]),
        (ingress("a: b", "alb", "{backend: {serviceName: vllm, servicePort: 80}}"),
         ["KIN402 warning"]),
        (ingress("a: b", "alb", f"{PATH}, {{path: /healthz, backend: {{}}}}"), ["KIN402 warning"]),
        (ingress("a: b", "alb", ""), ["KIN402 info"]),
    ],
)  # fmt: skip
def test_ingresses_of_controllers(text: str, expected: list[str]) -> None:
    assert reported("kubernetes-ingress", text, heartbeat_s=45.0) == expected


def test_an_edit_is_offered_only_if_every_path_streams() -> None:
    text = ingress("a: b", "alb", f"{PATH}, {{path: /healthz, backend: {{}}}}")
    assert fixed_ingress(text) == text
    short = ingress("konghq.com/read-timeout: '9000'", "kong", f"{PATH}, {{path: /healthz}}")
    assert fixed_ingress(short) == short
    buffered = ingress("nginx.org/proxy-buffering: 'true'", "nginx")
    assert "proxy-buffering: 'false'" in fixed_ingress(buffered)


NAMES_SLOW = '{cloud.google.com/backend-config: \'{"default": "slow"}\'}'


def service(name: str) -> str:
    return f"---\nkind: Service\nmetadata:\n  name: {name}\n  annotations: {NAMES_SLOW}\n"


def backend_config(name: str, spec: str) -> str:
    return (
        "---\napiVersion: cloud.google.com/v1\nkind: BackendConfig\n"
        f"metadata: {{name: {name}}}\nspec: {{{spec}}}\n"
    )


def test_resources_that_services_name_are_compared_with_them() -> None:
    slow = backend_config("slow", "timeoutSec: 20")
    assert reported("kubernetes-ingress", slow) == ["KIN403 info"]
    named = backend_config("vllm", "timeoutSec: 20")
    assert reported("kubernetes-ingress", named) == ["KIN403 error"]
    assert reported("kubernetes-ingress", slow, service("vllm")) == ["KIN403 error"]
    assert reported("kubernetes-ingress", slow, service("cart")) == []
    other = (
        "apiVersion: configuration.konghq.com/v1\nkind: KongPlugin\n"
        "metadata: {name: vllm}\nplugin: cors\n"
    )
    assert reported("kubernetes-ingress", other) == []


def test_a_backend_config_in_view_decides_about_the_default_of_gke() -> None:
    text = ingress("a: b", "gce") + service("vllm")
    without = text + backend_config("slow", "cdn: {enabled: false}")
    assert reported("kubernetes-ingress", without) == ["KIN404 error"]
    assert reported("kubernetes-ingress", text + backend_config("slow", "timeoutSec: 3600")) == []
    assert reported("kubernetes-ingress", text) == ["KIN404 warning"]
    unnamed = ingress("a: b", "gce") + "---\nkind: Service\nmetadata: {name: vllm}\n"
    assert reported("kubernetes-ingress", unnamed) == ["KIN404 error"]
    assert reported("kubernetes-ingress", ingress("a: b", "gce")) == ["KIN404 warning"]


def test_the_hop_of_an_ingress_has_its_limits() -> None:
    hop = hop_of("kubernetes-ingress", ingress(f"{ALB}: idle_timeout.timeout_seconds=120"))
    assert (hop.title, hop.idle_limit_s) == ("AWS Load Balancer Controller", 120)
    assert hop.idle_at == ("f.yaml", 5)
    assert (hop.total_limit_s, hop.upstreams) == (math.inf, ("vllm",))


def test_kong_without_a_read_timeout_has_its_default() -> None:
    text = (
        "_format_version: '3.0'\nservices:\n- host: vllm\n  routes: [{}]\n"
        "- {url: 'http://vllm/v1'}\n"
    )
    assert reported("kubernetes-ingress", text, heartbeat_s=45.0) == ["KIN402 warning"]


# KServe


def test_the_hop_of_a_component_has_its_limits() -> None:
    text = (
        "apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: chat}\nspec:\n"
        "  template: {spec: {idleTimeoutSeconds: 60, containers: [{image: ollama/ollama}]}}\n"
    )
    hop = hop_of("kserve", text)
    assert (hop.title, hop.total_limit_s, hop.idle_limit_s) == ("Knative", 300, 60)
    component = (
        "apiVersion: serving.kserve.io/v1beta1\nkind: InferenceService\n"
        "spec: {predictor: {timeout: 0, model: {modelFormat: {name: vllm}}}}\n"
    )
    hop = hop_of("kserve", component)
    assert (hop.title, hop.total_limit_s, hop.names) == ("KServe", math.inf, ())
    assert reported("kserve", component, stream_paths=("/other",)) == []
    core = "apiVersion: v1\nkind: Service\nmetadata: {name: a}\n---\n"
    assert len(lint("kserve", core + component).routes) == 1


# Recognition and rendering


def test_manifests_without_a_known_resource_are_not_recognised() -> None:
    text = "apiVersion: v1\nkind: ConfigMap\n"
    for name in RENDERED:
        assert not dialect_named(name).recognises("a.yaml", text), name
        assert not dialect_named(name).recognises("a.txt", "kind: HTTPRoute\n"), name
    assert dialect_named("kserve").recognises("a.yaml", "kind: InferenceService\n")
    assert not dialect_named("kserve").recognises("a.yaml", "kind: ConfigMap # InferenceService\n")


@pytest.mark.parametrize("name", RENDERED)
def test_a_rendered_manifest_is_recognised_and_has_no_findings(name: str) -> None:
    dialect = dialect_named(name)
    for upstream in ("http://10.0.0.7:8000", "http://models.internal:8000/"):
        request = RenderRequest(upstream=upstream, path="/v1/chat", idle_s=1800)
        text = dialect.render(request)
        assert dialect.recognises("f.yaml", text)
        assert lint(name, text, stream_paths=("/",)).diagnostics == ()
    with pytest.raises(UsageError, match="HOST:PORT"):
        dialect.render(RenderRequest(upstream="https://x"))
    with pytest.raises(UsageError, match="path"):
        dialect.render(RenderRequest(upstream="http://x", path="/ x"))


@pytest.mark.parametrize(
    ("limits", "codes"),
    [
        ("", ["KIN404 warning"]),
        ("timeout_ms: 10000", ["KIN403 error"]),
        ("timeout_ms: 0", []),
        ("timeout_ms: 0, idle_timeout_ms: 60000", []),
        ("timeout_ms: 0, idle_timeout_ms: 20000", ["KIN401 warning"]),
    ],
)
def test_limits_of_a_mapping(limits: str, codes: list[str]) -> None:
    text = f"""\
apiVersion: getambassador.io/v3alpha1
kind: Mapping
metadata: {{name: m}}
spec: {{prefix: /v1/, service: "vllm:8000"{", " * bool(limits)}{limits}}}
"""
    assert reported("kubernetes-ingress", text) == codes


def test_the_chart_beside_its_values_is_evidence() -> None:
    key = "nginx.ingress.kubernetes.io/proxy-buffering"
    text = "spec:\n  chart: {{spec: {{chart: {0}}}}}\n  values:\n    ingress:\n      annotations:\n"
    for chart, codes in (("charts/ollama", ["ING101 warning"]), ("nextcloud", [])):
        values = text.format(chart) + f'        {key}: "on"\n'
        found = [one for one in reported("ingress-nginx", values) if "info" not in one]
        assert found == codes
