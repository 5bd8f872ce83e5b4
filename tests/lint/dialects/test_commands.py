"""Command lines: where files contain them, which programs they start, and their flags."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from support.dialect_harness import with_heartbeats
from undam.lint import (
    AssessedRoute,
    Hop,
    RenderRequest,
    Source,
    Tier,
    dialect_named,
    fix_source,
    lint_source,
)
from undam.lint.evidence.neighbours import Neighbours, neighbours_from

COMMANDS = dialect_named("commands")
CORPUS = sorted((Path(__file__).parents[1] / "corpus" / "commands").glob("*"))
STREAMS: dict[str, Any] = {"stream_paths": ("/",)}


def found(text: str, path: str = "start.sh", **options: object) -> list[str]:
    result = lint_source(COMMANDS, Source(path, text), with_heartbeats(**options))
    return [f"{one.line} {one.rule.code} {one.severity}" for one in result.diagnostics]


def routes(text: str, path: str = "start.sh", **options: object) -> tuple[AssessedRoute, ...]:
    return lint_source(COMMANDS, Source(path, text), with_heartbeats(**options)).routes


def hop_of(text: str, path: str = "start.sh", **options: object) -> Hop:
    (hop,) = (one.hop for one in routes(text, path, **options) if one.hop is not None)
    return hop


def fixed(text: str, path: str = "start.sh") -> str:
    return fix_source(COMMANDS, Source(path, text), with_heartbeats(**STREAMS), unsafe=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert COMMANDS.recognises(file.name, text)
    expected = {
        "stream-gunicorn.Dockerfile": ["10 CMD401 warning"],
        "stream-vllm.yaml": ["23 CMD101 warning"],
        "stream-llama.service": ["11 CMD403 warning"],
        "stream-trtllm.yaml": ["7 CMD101 warning"],
    }
    assert found(text, file.name) == expected.get(file.name, [])


def test_healthy_commands_have_no_findings_beside_a_streaming_program() -> None:
    beside = Neighbours(programs=("main.py",))
    for file in CORPUS:
        if file.name.startswith("still") and "entrypoint" not in file.name:
            assert found(file.read_text("utf-8"), file.name, neighbours=beside) == [], file.name


@pytest.mark.parametrize(
    "text",
    [
        "vllm serve m --stream-interval 20\n",
        "exec  vllm serve m --stream-interval=20 &\n",
        "HF_HOME=/x uv run vllm serve m \\\n  --stream-interval '20'\n",
        'python3 -m vllm.entrypoints.openai.api_server --stream-interval "20"\n',
        "python -m sglang.launch_server --stream-interval 20 | tee log\n",
        "/opt/venv/bin/vllm serve m --port 1 --stream-interval 20; echo done\n",
        "if true; then (vllm serve m --stream-interval 20); fi # start\n",
        "unknown-engine --stream-interval 20\n",
    ],
)
def test_shell_commands_in_any_form(text: str) -> None:
    assert [one.split()[1] for one in found(text)] == ["CMD101"]
    assert "20" not in fixed(text).replace("2024", "")


@pytest.mark.parametrize(
    "text",
    [
        "# vllm serve m --stream-interval 20\n",
        "echo 'vllm serve --stream-interval 20'\n",
        "vllm serve m --stream-interval 1\n",
        "vllm serve m --stream-interval $N\n",
        "vllm serve m --stream-interval\n",
        "vllm bench serve --backend x\n",
        'unbalanced " quote\n',
        "",
    ],
)
def test_texts_without_a_fault(text: str) -> None:
    assert found(text) == []


def test_small_intervals_are_only_remarks() -> None:
    assert found("vllm serve m --stream-interval 4\n") == ["1 CMD101 info"]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: {command: [vllm, serve, m, --stream-interval, '20']}\n", 1),
        ('a:\n  args:\n    - serve\n    - --stream-interval\n    - "20"\n  command: [vllm]\n', 5),
        ("a:\n  args:\n    - --stream-interval=20\n  image: vllm/vllm-openai:v0.11\n", 3),
        ("a:\n  extraArgs: ['--stream-interval 20']\n", 2),
        ("a:\n  command: |\n    cd /x\n    vllm serve m --stream-interval 20\n", 4),
        ("a:\n  command: 'vllm serve m --stream-interval 20'\n", 2),
        ("a:\n  command: [bash, -lc, 'vllm serve m --stream-interval 20']\n", 2),
        (
            "a:\n  command: [sh, -c]\n  args:\n    - |\n      vllm serve --stream-interval 20\n",
            5,
        ),
        ("- items:\n    - command: vllm serve m --stream-interval 20\n", 2),
        ("vllmConfig:\n  stream-interval: 20\n", 2),
        ("a:\n  extraArgs:\n    - --stream-interval 20\n", 3),
    ],
)
def test_commands_in_yaml(text: str, line: int) -> None:
    assert found(text, "a.yaml") == [f"{line} CMD101 warning"]
    assert found(fixed(text, "a.yaml"), "a.yaml") == []


def test_other_yaml_has_no_commands() -> None:
    assert found("a: {command: {x: y}}\n", "a.yaml") == []
    assert found("a: {command: [sleep, '1']}\nb: {args: null}\nc: {image: [x]}\n", "a.yaml") == []
    assert found("stream_interval: [20]\nx: {stream_interval: fast}\n", "a.yaml") == []
    assert found("a:\n" + "".join(f"{' ' * n}- \n" for n in range(1, 80)), "a.yaml") == []
    nested = "".join("{a: " for _ in range(80)) + "1" + "}" * 80
    assert found(f"args: []\nx: {nested}\n", "a.yaml") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM x\nCMD gunicorn app:app\n", ["2 CMD401 error"]),
        ('FROM x\nENTRYPOINT ["gunicorn", "app:app"]\n', ["2 CMD401 error"]),
        ('FROM x\nENTRYPOINT ["gunicorn"]\nCMD ["-t", "90", "app:app"]\n', ["3 CMD401 warning"]),
        ("FROM x\nENTRYPOINT gunicorn app:app\nCMD ignored\n", ["2 CMD401 error"]),
        ("FROM x\nCMD gunicorn \\\n  app:app\n", ["2 CMD401 error"]),
        ("FROM --platform=linux/amd64 x AS y\nCMD exec gunicorn app:app", ["2 CMD401 error"]),
        ('FROM vllm/vllm-openai\nCMD ["--stream-interval", "20"]\n', ["2 CMD101 warning"]),
        ("FROM a\nCMD gunicorn a:a\nFROM b\nCMD uvicorn a:a\n", ["2 CMD401 error"]),
        ("FROM x\nRUN pip install gunicorn\n", []),
    ],
)
def test_commands_in_a_dockerfile(text: str, expected: list[str]) -> None:
    assert found(text, "Dockerfile", **STREAMS) == expected


def test_the_last_line_of_a_unit_may_end_with_a_backslash() -> None:
    assert found("ExecStart=-gunicorn \\", "a.service", **STREAMS) == ["1 CMD401 error"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", ["error"]),
        ("--timeout 60", ["error"]),
        ("-t 600", ["warning"]),
        ("--timeout 0", []),
        ("--timeout 3600", []),
        ("--timeout $T", []),
        ("-k gevent", []),
        ("--worker-class=uvicorn_worker.UvicornWorker", []),
        ("-k sync", ["error"]),
        ("--threads 8", []),
        ("--threads 1", ["error"]),
        ("--threads $N", []),
        ("-c gunicorn.conf.py", ["warning"]),
    ],
)
def test_gunicorn_workers(arguments: str, expected: list[str]) -> None:
    text = f"gunicorn {arguments} app:app\n"
    assert [one.split()[2] for one in found(text, **STREAMS)] == expected
    assert found(f"export GUNICORN_CMD_ARGS=--threads=8\n{text}", **STREAMS) == []
    variable = f"export GUNICORN_CMD_ARGS=$ARGS\n{text}"
    lower = [{"error": "warning", "warning": "info"}.get(one, one) for one in expected]
    if "-c" not in arguments:
        assert [one.split()[2] for one in found(variable, **STREAMS)] == lower


@pytest.mark.parametrize(
    ("text", "path", "wanted"),
    [
        ("gunicorn a:a\n", "s.sh", "gunicorn --worker-class gthread --threads 32 a:a\n"),
        (
            'FROM x\nCMD ["gunicorn", "a:a"]\n',
            "Dockerfile",
            'FROM x\nCMD ["gunicorn", "--worker-class", "gthread", "--threads", "32", "a:a"]\n',
        ),
        (
            "a:\n  command:\n    - gunicorn\n    - a:a\n",
            "a.yaml",
            (
                'a:\n  command:\n    - gunicorn\n    - "--worker-class"\n    - "gthread"\n'
                '    - "--threads"\n    - "32"\n    - a:a\n'
            ),
        ),
        ("a: {command: [gunicorn, a:a]}\n", "a.yaml", "a: {command: [gunicorn, a:a]}\n"),
        ("gunicorn -k sync a:a\n", "s.sh", "gunicorn -k sync a:a\n"),
    ],
)
def test_threads_are_inserted_in_the_syntax_of_the_command(
    text: str, path: str, wanted: str
) -> None:
    assert fixed(text, path) == wanted


def test_an_application_server_needs_evidence_of_a_stream() -> None:
    text = "gunicorn app:app\n"
    assert found(text) == []
    beside = Neighbours(programs=("app/main.py",))
    assert found(text, neighbours=beside) == ["1 CMD401 error"]
    assert routes(text, neighbours=beside)[0].assessment.evidence == (
        "app/main.py beside the file streams",
    )
    compose = "services:\n  open-webui-api: {command: gunicorn app:app}\n"
    assert found(compose, "c.yaml") == ["2 CMD401 error"]
    assert found("services:\n  shop: {command: gunicorn app:app}\n", "c.yaml") == []


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--harakiri 30", ["1 CMD402 error"]),
        ("--harakiri=300", ["1 CMD402 warning"]),
        ("--harakiri 0", []),
        ("--http-timeout 60", []),
    ],
)
def test_uwsgi(flag: str, expected: list[str]) -> None:
    assert found(f"uwsgi --module app {flag}\n", **STREAMS) == expected


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--sse-ping-interval 0", ["1 CMD403 warning"]),
        ("--sse-ping-interval=-1", ["1 CMD403 warning"]),
        ("--sse-ping-interval 15", []),
        ("--sse-ping-interval $N", []),
        ("", []),
    ],
)
def test_heartbeats_of_llama_cpp(flag: str, expected: list[str]) -> None:
    assert found(f"llama-server -m x {flag}\n") == expected


@pytest.mark.parametrize(
    "text",
    [
        "pip install gunicorn\n",
        "uv pip install gunicorn flask\n",
        "poetry add gunicorn\n",
        "apt-get install -y gunicorn\n",
        "sudo systemctl restart gunicorn\n",
        "which gunicorn || /usr/bin/pkill gunicorn\n",
        "if ! command -v gunicorn; then echo gunicorn is missing; fi\n",
        "python deploy.py gunicorn\n",
        "python3 serve.py --server gunicorn\n",
    ],
)
def test_a_command_that_only_names_a_program_does_not_start_it(text: str) -> None:
    assert routes(text, **STREAMS) == ()
    assert found(f"{text}exec gunicorn app:app\n", **STREAMS) == ["2 CMD401 error"]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("python3 -u -m gunicorn app:app\n", 15),
        ("exec uv run --no-sync gunicorn app:app\n", 23),
        ("tini -g -- gunicorn app:app\n", 12),
        ("bash -c 'cd /app && gunicorn app:app'\n", 21),
        ("su -s /bin/sh www -c 'exec gunicorn app:app'\n", 28),
        ("sudo env A=1 gunicorn app:app\n", 14),
        ("bash -c 'bash -c \"gunicorn app:app\"'\n", 19),
    ],
)
def test_a_launcher_or_a_shell_starts_the_program(text: str, column: int) -> None:
    result = lint_source(COMMANDS, Source("start.sh", text), with_heartbeats(**STREAMS))
    assert [(one.rule.code, one.column) for one in result.diagnostics] == [("CMD401", column)]
    healthy = text.replace("gunicorn app", "gunicorn -k gevent app")
    assert found(healthy, **STREAMS) == []


def test_a_shell_without_a_quoted_script_is_read_as_one_command() -> None:
    assert found("bash -c $RUN\nbash start.sh -x\nsh\n", **STREAMS) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("Procfile", "release: migrate\nweb: gunicorn app:app\n", ["2 CMD401 error"]),
        ("Procfile", "web: gunicorn --threads 8 app:app\n", []),
        ("render.yaml", "services:\n- {startCommand: 'gunicorn app:app'}\n", ["2 CMD401 error"]),
        ("railway.json", '{"deploy": {"startCommand": "gunicorn a:a"}}', ["1 CMD401 error"]),
        ("s.conf", "[program:a]\ncommand=/v/bin/gunicorn a:a\n", ["2 CMD401 error"]),
        ("s.ini", "[program:a]\ncommand = uvicorn a:a\n", []),
    ],
)
def test_start_commands_of_process_managers_and_platforms(
    path: str, text: str, expected: list[str]
) -> None:
    assert COMMANDS.recognises(path, text)
    assert found(text, path, **STREAMS) == expected


def test_only_the_configurations_of_supervisord_contain_commands() -> None:
    assert not COMMANDS.recognises("app.conf", "command=gunicorn app:app\n")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ('worker_class = "gevent"  # for streams\n', []),
        ("threads: int = 8\n", []),
        ("timeout = 0\n", []),
        ("timeout = 900\nworker_class = 'sync'\n", ["1 CMD401 warning"]),
        ("workers = 4\n", ["1 CMD401 error"]),
        ('worker_class = os.environ["CLASS"]\n', ["1 CMD401 warning"]),
        ('if x:\n    worker_class = "gevent"\n', ["1 CMD401 warning"]),
    ],
)
def test_the_configuration_file_of_gunicorn_is_read(settings: str, expected: list[str]) -> None:
    for name, flag in (("gunicorn.conf.py", ""), ("gunicorn_cfg.py", "-c x/gunicorn_cfg.py ")):
        beside = neighbours_from([(f"x/{name}", settings)])
        text = f"gunicorn {flag}app:app\n"
        assert found(text, neighbours=beside, **STREAMS) == expected
        set_there = "worker_class" in settings and expected
        assert (fixed_with(text, beside) == text) is (not expected or bool(set_there))


def fixed_with(text: str, beside: Neighbours) -> str:
    settings = with_heartbeats(neighbours=beside, **STREAMS)
    return fix_source(COMMANDS, Source("start.sh", text), settings, unsafe=True)


def test_a_flag_overrides_the_configuration_file() -> None:
    beside = neighbours_from([("gunicorn.conf.py", 'worker_class = "gevent"\n')])
    assert found("gunicorn -k sync a:a\n", neighbours=beside, **STREAMS) == ["1 CMD401 error"]


def test_hops_of_engines_and_servers() -> None:
    vllm = hop_of("vllm serve m --port 9000 --sse-keep-alive-interval 15\n")
    assert (vllm.tier, vllm.title, vllm.names, vllm.heartbeat_s) == (
        *(Tier.ENGINE, "vLLM", (":9000",), 15.0),
    )
    assert hop_of("vllm serve m --sse-keep-alive-interval 0\n").heartbeat_s is None
    assert hop_of("llama-server -m x\n").heartbeat_s == 30.0
    assert hop_of("unknown --stream-interval 1\n").names == ()
    server = hop_of("gunicorn -b 0.0.0.0:8080 app:app\n", **STREAMS)
    assert (server.names, server.total_limit_s, server.total_at) == ((":8080",), 30.0, None)
    timed = hop_of("gunicorn -t 90 app:app\n", **STREAMS)
    assert (timed.total_limit_s, timed.total_at) == (90.0, ("start.sh", 1))
    assert hop_of("gunicorn -t 0 app:app\n", **STREAMS).total_limit_s == math.inf
    assert hop_of("uvicorn app:app\n", **STREAMS).total_limit_s == math.inf
    assert routes("uvicorn app:app\n", stream_paths=("/x",))[0].hop is not None


def test_names_of_services_in_compose_files_and_manifests() -> None:
    compose = """\
services:
  model:
    image: vllm/vllm-openai
    container_name: vllm-1
    command: --model m
    ports: ["127.0.0.1:8001:8000", "9000", {published: 1}]
"""
    assert hop_of(compose, "compose.yaml").names == ("model", "vllm-1", ":8001", ":8000")
    manifest = """\
kind: Pod
metadata: {name: qwen, labels: {app: llm}}
spec:
  containers:
    - name: engine
      image: vllm/vllm-openai
      args: [--model, m]
"""
    assert hop_of(manifest, "pod.yaml").names == ("engine", "qwen", "llm", ":8000")
    assert routes("metadata: {labels: {x: y}}\nargs: [--stream-interval, '1']\n", "a.yaml")


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("start.sh", "exec gunicorn app:app", True),
        ("start.sh", "pip install gunicorn-extras", False),
        ("a.yaml", "command: gunicorn app:app", True),
        ("a.yaml", "dependencies: [gunicorn]", False),
        ("a.yaml", "stream_interval: 20", True),
        ("Dockerfile.gpu", "CMD vllm serve x", True),
        ("a.md", "vllm serve x", False),
        ("a.sh", "echo", False),
    ],
)
def test_files_are_recognised(path: str, text: str, ours: bool) -> None:
    assert COMMANDS.recognises(path, text) is ours


def test_the_rendered_script_has_heartbeats_and_no_findings() -> None:
    text = COMMANDS.render(RenderRequest(upstream="http://vllm:8000", idle_s=10))
    assert "--sse-keep-alive-interval 5" in text
    assert found(text) == []
