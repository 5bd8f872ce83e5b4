"""Duration of `undam lint` on one core, per 100 files of a mixed tree and relative to grep.

The tree is a mix of files as in real repositories: configurations of several proxies with and
without findings, some of them long, and other YAML, JSON and text files. Each run is a process of
its own, so only the page cache is warm.

A second tree has 100 MB of YAML as in the repositories of Kubernetes operators: definitions of
custom resources, and other resources without a proxy. `grep -r` searches it for words of two
dialects.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from bench.progress import Progress
from undam.timing import median

FILES = 1000
ROUNDS = 3
LIMIT_S = 2.0
"""Goal for 100 files."""
YAML_MB = 100
MAX_RATIO = 5.0
"""Goal for the tree of YAML: duration relative to that of grep."""
_WORDS = "nginx.ingress|static_resources"
_SCHEMA_LINES = (
    "                            properties:\n"
    "                              description:\n"
    "                                type: string\n"
)


def _nginx(number: int) -> str:
    places = "".join(
        f"    location /{'v1' if place == 3 else 'page'}/{place} {{\n"
        f"        proxy_pass http://127.0.0.1:{9000 + place};\n"
        "        proxy_set_header Host $host;\n    }\n"
        for place in range(5 + number % 40)
    )
    return f"server {{\n    listen 80;\n{places}}}\n"


def _haproxy(number: int) -> str:
    backends = "".join(
        f"backend b{place}\n    mode http\n    server s 127.0.0.1:{9000 + place}\n"
        "    timeout server 30s\n"
        for place in range(5 + number % 20)
    )
    return (
        "defaults\n    mode http\n    timeout client 30s\nfrontend edge\n    bind :80\n"
        f"    use_backend b3 if {{ path_beg /v1/ }}\n    default_backend b0\n{backends}"
    )


def _envoy(number: int) -> str:
    routes = "".join(
        f"                  - {{match: {{prefix: /{place}/v1/chat}}, route: {{cluster: c}}}}\n"
        for place in range(1 + number % 30)
    )
    manager = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    return (
        "static_resources:\n  listeners:\n  - filter_chains:\n    - filters:\n"
        "      - name: envoy.filters.network.http_connection_manager\n        typed_config:\n"
        f'          "@type": type.googleapis.com/{manager}\n          route_config:\n'
        "            virtual_hosts:\n            - name: all\n              domains: ['*']\n"
        f"              routes:\n{routes}"
    )


def _values(number: int) -> str:
    return "".join(
        f"service{place}:\n  image: app:{number}\n  ports: [80, 443]\n" for place in range(100)
    )


def _data(number: int) -> str:
    return json.dumps([{"id": place, "name": f"item {number}"} for place in range(500)], indent=1)


def _words(number: int) -> str:
    return f"{number} some words and http_proxy=off; not a configuration\n" * 200


_KINDS: tuple[tuple[str, Callable[[int], str]], ...] = (
    ("nginx/{}.conf", _nginx),
    ("haproxy/{}.cfg", _haproxy),
    ("envoy/{}.yaml", _envoy),
    ("values/{}.yaml", _values),
    ("data/{}.json", _data),
    ("words/{}", _words),
    ("nginx/more/{}.conf", _nginx),
    ("values/more/{}.yml", _values),
    ("notes/{}.cfg", _words),
    ("data/more/{}.json", _data),
)


def run() -> list[str]:
    """Return one line with the median over all rounds and whether the goal is met."""
    progress = Progress(ROUNDS)
    rounds = []
    with tempfile.TemporaryDirectory() as folder:
        size = _write(Path(folder))
        for _ in range(ROUNDS):
            rounds.append(_lint(folder))
            progress.finish_round(f"{rounds[-1][0]:.2f} s")
    seconds = median([elapsed_s for elapsed_s, _ in rounds]) * 100 / FILES
    goal = "met" if seconds <= LIMIT_S else "MISSED"
    size_mb, output = size / 1e6, rounds[0][1]
    line = f"{FILES} files, {size_mb:.1f} MB: {seconds:.3f} s per 100 files with program start"
    return [f"{line} (goal {LIMIT_S:g} s: {goal}); {output}", _ratio_to_grep()]


def _ratio_to_grep() -> str:
    """Return the result line for the tree of YAML files."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(YAML_MB):
            kind = "Deployment" if number % 4 == 0 else "CustomResourceDefinition"
            body = _SCHEMA_LINES * (1_000_000 // len(_SCHEMA_LINES) - 1)
            Path(folder, f"resource{number}.yaml").write_text(f"kind: {kind}\n{body}")
        lint_s = median([_lint(folder)[0] for _ in range(ROUNDS)])
        grep_s = median([_grep(folder) for _ in range(ROUNDS)])
    ratio = lint_s / grep_s
    goal = "met" if ratio <= MAX_RATIO else "MISSED"
    return (
        f"{YAML_MB} MB of YAML: {lint_s:.2f} s, grep {grep_s:.2f} s, "
        f"{ratio:.1f} times as long (goal {MAX_RATIO:g}: {goal})"
    )


def _grep(folder: str) -> float:
    start_s = time.perf_counter()
    subprocess.run(
        ["grep", "-rlE", _WORDS, folder],
        capture_output=True, check=False, preexec_fn=_on_one_core,
    )  # fmt: skip
    return time.perf_counter() - start_s


def _write(folder: Path) -> int:
    """Write the files and return their total size in bytes."""
    size = 0
    for number in range(FILES):
        name, text = _KINDS[number % len(_KINDS)]
        path = folder / name.format(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        size += path.write_bytes(text(number).encode())
    return size


def _lint(folder: str) -> tuple[float, str]:
    """Return the duration in seconds and the last output line."""
    start_s = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "undam", "lint", folder],
        capture_output=True, text=True, check=False, preexec_fn=_on_one_core,
    )  # fmt: skip
    elapsed_s = time.perf_counter() - start_s
    if done.returncode not in {0, 1}:
        raise RuntimeError(f"lint could not run: {done.stderr[:200]}")
    return elapsed_s, done.stdout.splitlines()[-1]


def _on_one_core() -> None:
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
