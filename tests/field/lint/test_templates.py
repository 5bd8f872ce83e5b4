"""Templates, and configurations embedded in other files, are linted where they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.lint_reports import lint_files
from support.undam_command import invoke
from undam.lint import fix_paths

JINJA = """\
{# generated #}
{% for u in upstreams %}
upstream {{ u.name }} { {% for s in u.servers %} server {{ s }}; {% endfor %} }
{% endfor %}
server {
  listen {{ port }};
  location /v1/ { proxy_pass http://{{ backend }}; }
}
"""
ERB = """\
server {
  listen <%= @port %>;
  location /v1/ { proxy_pass http://<%= @backend %>; }
<% if @ssl -%>
  ssl_certificate /x;
<% end -%>
}
"""
GO = """\
{{- define "x.nginx" -}}
server {
  listen 80;
  location /v1/ { proxy_pass http://{{ .Values.api }}:5001; }
}
{{- end }}
"""
ENVSUBST = """\
server {
  listen ${NGINX_PORT};
  location /v1/ { proxy_pass http://${BACKEND:-api}:5001; }
}
"""


TERRAFORM = """\
%{ for s in servers ~}
upstream ${s.name} { server ${s.host}:${s.port}; }
%{ endfor ~}
server {
  listen ${port};
  location /v1/ { proxy_pass http://${backend}; }
}
"""
ANSIBLE = "{{ ansible_managed | comment }}\n" + ENVSUBST
MUSTACHE = """\
server {
  {{#ssl}}
  ssl_certificate {{{path}}};
  {{/ssl}}
  location /v1/ { proxy_pass http://{{{backend}}}; }
}
"""
CONSUL = """\
upstream vllm {
{{ range service "vllm" }}  server {{ .Address }}:{{ .Port }};
{{ end }}}
server {
  location /v1/ { proxy_pass http://vllm; }
}
"""
EJS = "server {\n  listen <%= port %>;\n  location /v1/ { proxy_pass http://<%- backend %>; }\n}\n"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("nginx.conf.tftpl", TERRAFORM, 6), ("nginx.conf.j2", ANSIBLE, 4),
        ("nginx.conf.mustache", MUSTACHE, 5), ("nginx.conf.ctmpl", CONSUL, 5),
        ("nginx.conf.ejs", EJS, 3), ("nginx.gtpl", GO, 4),
        ("nginx.conf.j2", JINJA, 7), ("nginx.jinja2", JINJA, 7), ("nginx.conf.erb", ERB, 3),
        ("config.tpl", GO, 4), ("default.conf.template", ENVSUBST, 3), ("nginx.conf", JINJA, 7),
    ],
)  # fmt: skip
def test_a_template_is_read_and_its_lines_hold(name: str, text: str, line: int) -> None:
    found = lint_files({name: text}, "--heartbeat", "15")
    assert found.places == [f"NGX101 {name}:{line}"]
    assert found.code == 1
    (change,) = fix_paths(".").changes
    written = change.after.splitlines()[line - 1]
    assert "proxy_buffering off;" in written
    assert change.before.splitlines()[line - 1].split(";")[0] in written


@pytest.mark.parametrize(
    ("name", "text", "outcome"),
    [
        ("a.conf.template", "proxy_pass ${OLLAMA_URL};", "streams"),
        ("a.conf.template", "proxy_pass http://${BACKEND:-vllm:8000};", "streams"),
        ("a.conf.j2", "proxy_pass http://{{ vllm_host }}:{{ port }};", "streams"),
        ("a.conf.template", "proxy_pass ${BACKEND_URL};", "unknown"),
        ("a.conf.template", "proxy_pass http://${OPENAI_DOCS_HOST};", "unknown"),
        ("a.conf.j2", "proxy_pass http://{{ shop.host }};", "unknown"),
    ],
)
def test_the_name_of_a_placeholder_is_evidence(name: str, text: str, outcome: str) -> None:
    found = lint_files({name: f"server {{ location / {{ {text} }} }}\n"})
    assert found.outcomes == {"/": outcome}
    in_block = text.replace("proxy_pass ", "server ").replace("http://", "")
    upstream = f"upstream u {{ {in_block} }} server {{ location / {{ proxy_pass http://u; }} }}\n"
    assert lint_files({name: upstream}).outcomes == {"/": outcome}


@pytest.mark.parametrize(
    ("address", "outcome"),
    [("{$UPSTREAM:vllm:8000}", "streams"), ("{$OLLAMA}", "streams"), ("{$WEB:web:80}", "unknown")],
)
def test_the_default_of_a_placeholder_of_caddy_is_evidence(address: str, outcome: str) -> None:
    found = lint_files({"Caddyfile": f":80 {{\n\treverse_proxy {address}\n}}\n"})
    assert found.outcomes == {"/": outcome}


def test_a_setting_whose_value_is_a_placeholder_is_unread() -> None:
    text = ENVSUBST.replace(
        "; }", "; proxy_buffering ${BUFFERING}; proxy_read_timeout ${LIMIT}s; }"
    )
    found = lint_files({"a.conf.template": text})
    assert found.codes == []
    assert [one["what"] for one in found.report["unread"]] == [
        "the value of proxy_buffering: ${BUFFERING}",
        "the value of proxy_read_timeout: ${LIMIT}s",
    ]
    assert lint_files({"a.conf.template": text.replace("/v1/", "/")}).report["unread"] == []


def test_a_placeholder_for_whole_lines_is_a_hole_in_any_case_of_letters() -> None:
    text = "server {\n  location /v1/ {\n    ${proxy_pass}\n    proxy_pass http://vllm;\n  }\n}\n"
    found = lint_files({"nginx.conf.tpl": text}, "--heartbeat", "15")
    assert "because ${proxy_pass} at nginx.conf.tpl:3 was not read" in found.message("NGX101")


def test_a_chart_is_read_in_place() -> None:
    chart = """\
{{- if .Values.ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "chart.fullname" . }}
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
    {{- toYaml .Values.ingress.annotations | nindent 4 }}
spec:
  ingressClassName: nginx
  rules:
    - http:
        paths:
          - path: /v1
            backend: {service: {name: vllm, port: {number: 8000}}}
{{- end }}
"""
    found = lint_files({"chart/templates/ingress.yaml": chart})
    assert "ING101 chart/templates/ingress.yaml:7" in found.places
    # The values add annotations that undam cannot read, and one of them may set the limit.
    assert "ING401 info" in found.codes
    assert invoke("fix", ".", "--write").code == 1
    fixed = Path("chart/templates/ingress.yaml").read_text()
    assert fixed == chart.replace('proxy-buffering: "on"', 'proxy-buffering: "off"')


def test_a_template_that_cannot_be_read_is_noted_in_a_folder_and_fails_if_named() -> None:
    broken = "{% if a %}server {{% else %}location / {{% endif %} proxy_pass http://vllm;\n}}"
    found = lint_files({"conf/nginx.conf.j2": broken, "conf/ok.conf": ENVSUBST})
    (passed,) = found.report["passed_over"]
    assert (passed["path"], passed["kind"]) == ("conf/nginx.conf.j2", "template")
    assert passed["reason"].startswith("not read: line ")
    assert found.code == 1
    assert invoke("lint", "conf/nginx.conf.j2").code == 2


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: tls-lb}
data:
  readme: |
    proxy_pass is described elsewhere
  nginx.conf: |
    events {}
    http { server { listen 8443 ssl;
      location / { set $a vllm:8000; proxy_pass http://$a; }
    } }
  Caddyfile: |
    llm.example.org {
    \treverse_proxy ollama:11434 {
    \t\tflush_interval 5s
    \t}
    }
"""
COMPOSE = """\
services:
  proxy:
    image: nginx:1.27
configs:
  conf:
    content: |
      server { listen 80; location /v1/ { proxy_pass http://vllm:8000; } }
"""
DOCKERFILE = """\
FROM nginx:1.27
RUN cat <<EOF > /etc/motd
hello
EOF
COPY <<'CONF' /etc/nginx/conf.d/default.conf
server { listen 80; location /v1/ { proxy_pass http://vllm:8000; } }
CONF
"""
SCRIPT = """\
#!/bin/sh
tee /etc/haproxy/haproxy.cfg <<-CFG
\tdefaults
\t  mode http
\tfrontend f
\t  bind :80
\t  default_backend vllm
\tbackend vllm
\t  server a 10.0.0.1:8000
\tCFG
"""


TERRAFORM_FILE = """\
resource "kubernetes_config_map" "nginx" {
  data = {
    "nginx.conf" = <<-EOT
      server { listen 80; location /v1/ { proxy_pass http://${var.backend}:8000; } }
    EOT
  }
}
resource "helm_release" "ui" {
  chart  = "open-webui"
  values = [<<-YAML
    ingress:
      annotations:
        nginx.ingress.kubernetes.io/proxy-buffering: "on"
    YAML
  ]
}
"""
NOMAD = """\
template {
  data = <<EOF
server { listen 80; location /v1/ { proxy_pass http://{{ env "VLLM" }}; } }
EOF
}
"""
FIRST_KEY = """\
write_files:
  - content: |
      server { listen 80; location /v1/ { proxy_pass http://vllm:8000; } }
    owner: root
  - content: &site |
      server { listen 81; location /v1/ { proxy_pass http://vllm:8000; } }
"""
LIST_ITEM = """\
extraDeploy:
  - |
    kind: Ingress
    metadata:
      name: vllm
      annotations:
        nginx.ingress.kubernetes.io/proxy-buffering: "on"
    spec: {rules: [{http: {paths: [{path: /v1, backend: {service: {name: vllm}}}]}}]}
  - image: |
      x
"""
SHELL_IN_YAML = """\
containers:
  - command: [sh, -c]
    args:
      - |
        cat > /etc/nginx/conf.d/default.conf <<'EOF'
        server { listen 80; location /v1/ { proxy_pass http://vllm:8000; } }
        EOF
        nginx -g 'daemon off;'
"""
ECHO = """\
#!/bin/sh
echo 'server {
  location /v1/ { proxy_pass http://vllm:8000; }
}' | sudo tee /etc/nginx/conf.d/default.conf
"""


@pytest.mark.parametrize(
    ("name", "text", "places"),
    [
        (
            "main.tf",
            TERRAFORM_FILE,
            ["NGX101 main.tf:4", "NGX401 main.tf:4", "ING101 main.tf:13", "ING401 main.tf:13"],
        ),
        ("job.nomad", NOMAD, ["NGX101 job.nomad:3", "NGX401 job.nomad:3"]),
        (
            "init.yaml",
            FIRST_KEY,
            [
                "NGX101 init.yaml:3",
                "NGX101 init.yaml:6",
                "NGX401 init.yaml:3",
                "NGX401 init.yaml:6",
            ],
        ),
        ("values.yaml", LIST_ITEM, ["ING101 values.yaml:7", "ING401 values.yaml:5"]),
        ("pod.yaml", SHELL_IN_YAML, ["NGX101 pod.yaml:6", "NGX401 pod.yaml:6"]),
        ("setup.sh", ECHO, ["NGX101 setup.sh:3", "NGX401 setup.sh:3"]),
        ("cm.yaml", CONFIG_MAP, ["NGX101 cm.yaml:10", "NGX401 cm.yaml:10", "CAD201 cm.yaml:15"]),
        ("compose.yml", COMPOSE, ["NGX101 compose.yml:7", "NGX401 compose.yml:7"]),
        ("Dockerfile", DOCKERFILE, ["NGX101 Dockerfile:6", "NGX401 Dockerfile:6"]),
        ("install.sh", SCRIPT, ["HAP101 install.sh:8"]),
    ],
)
def test_a_configuration_inside_a_file_is_linted_and_fixed_in_place(
    name: str, text: str, places: list[str]
) -> None:
    found = lint_files({name: text})
    assert sorted(found.places) == sorted(places)
    assert invoke("fix", ".", "--write").code == 1
    fixed = Path(name).read_text()
    # Only lines of the embedded configuration change; all other text stays the same.
    assert fixed.startswith(text[:40])
    assert fixed != text
    again = lint_files({})
    assert again.faults == []
    assert invoke("fix", ".", "--write").code == 0


def test_annotations_of_values_are_linted_with_the_services_of_the_values_as_evidence() -> None:
    values = """\
ollama: {enabled: true}
ingress:
  enabled: true
  annotations:
    nginx.ingress.kubernetes.io/proxy-buffering: "on"
    nginx.ingress.kubernetes.io/proxy-read-timeout: 20s
  host: chat.example.org
"""
    found = lint_files({"values.yaml": values})
    assert found.places == ["ING101 values.yaml:5", "ING205 values.yaml:6"]
    shop = lint_files({"values.yaml": values.replace("ollama", "shop").replace("chat", "www")})
    assert shop.faults == []


@pytest.mark.parametrize("chart", ["open-webui", "charts/ollama", "nextcloud"])
@pytest.mark.parametrize(
    "text",
    [
        "spec:\n  source:\n    chart: {0}\n    helm:\n      values: |\n{1}",
        "spec:\n  chart: {{spec: {{chart: {0}}}}}\n  values:\n{1}",
    ],
)
def test_the_name_of_a_chart_is_evidence_for_its_values(text: str, chart: str) -> None:
    key = "nginx.ingress.kubernetes.io/proxy-buffering"
    values = f'        ingress:\n          annotations:\n            {key}: "on"\n'
    found = lint_files({"app.yaml": text.format(chart, values)}, "--heartbeat", "15")
    assert found.faults == ([] if chart == "nextcloud" else ["ING101"])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("cm.yaml", 'data:\n  nginx.conf: "server {\\n location / { proxy_pass http://vllm;\\n"\n'),
        ("cm.json", '{"nginx.conf": "location /v1/ { proxy_pass http://vllm:8000; }"}\n'),
        ("index.ts", 'const a = { "nginx.ingress.kubernetes.io/proxy-buffering": "on" };\n'),
        ("flake.nix", '{ locations."/".proxyPass = "http://127.0.0.1:8080"; }\n'),
        ("Dockerfile", 'FROM caddy\nRUN echo -e "x {\\n reverse_proxy vllm:8000\\n}" > /f\n'),
    ],
)
def test_a_text_with_directives_that_cannot_be_read_is_passed_over(name: str, text: str) -> None:
    found = lint_files({name: text})
    assert (found.code, found.codes) == (0, [])
    (passed,) = found.report["passed_over"]
    assert (passed["path"], passed["kind"]) == (name, "text with directives of a proxy")


def test_code_fences_are_linted_on_request() -> None:
    fence = "```"
    site = "server { location /v1/ { proxy_pass http://vllm:8000; } }"
    page = f"# Proxy\n\n{fence}nginx\n{site}\n{fence}\n"
    files = {"docs/how.md": page, "docs/page.mdx": page}
    assert lint_files(files).report["files"] == []
    found = lint_files({}, "--markdown", "--heartbeat", "15")
    assert found.places == ["NGX101 docs/how.md:4", "NGX101 docs/page.mdx:4"]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        (CONFIG_MAP, {"NGX101", "NGX401", "CAD201"}),
        (f"---\n{COMPOSE}", {"NGX101", "NGX401"}),
        ("server { location /v1/ { proxy_pass http://vllm:8000; } }\n", {"NGX101", "NGX401"}),
        ("llm.x.org {\n\treverse_proxy vllm:8000 {\n\t\tflush_interval 5s\n\t}\n}\n", {"CAD201"}),
    ],
)
def test_standard_input_is_recognised_by_its_content(text: str, codes: set[str]) -> None:
    result = invoke("lint", "-", "--json", stdin=text)
    assert set(result.codes) == codes
