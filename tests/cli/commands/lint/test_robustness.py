"""Lint and fix on arbitrary files: findings or a reported problem, and never a crash."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.undam_command import invoke
from undam.lint import DIALECTS

TESTS = Path(__file__).parents[3]
CORPUS = sorted(path for path in (TESTS / "lint" / "corpus").rglob("*") if path.is_file())
_TEXT = """
server location http frontend backend listen proxy_pass static_resources: apiVersion: include vcl
http_port sub 4.1; map proxy. CONFIG [http.routers] /v1/ :8080 import
; # // /* */ " ' \\ { } {{ }} ${ $ : - [ ] = < > * \x00 \x1b \ufeff é 表 \U0001f40d
"""
WORDS = (*_TEXT.split(), "\n", "\n", "\r\n", "\n\n", "\t")


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_the_corpus_is_linted_and_a_second_fix_changes_nothing(path: Path) -> None:
    result = invoke("lint", str(path), "--json")
    assert result.code in {0, 1}
    assert result.json["problems"] == []
    fixed = invoke("fix", "-", "--write", "--unsafe", stdin=path.read_bytes())
    if fixed.code == 1:
        assert invoke("fix", "-", "--write", "--unsafe", stdin=fixed.raw).code == 0


def test_the_project_itself_is_linted() -> None:
    assert invoke("lint", str(TESTS / "lint"), str(TESTS / "rules")).code == 1


@pytest.mark.parametrize("seed", range(40))
def test_random_words_in_files_of_any_name(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    for name in (
        "nginx.conf", "haproxy.cfg", "envoy.yaml", "traefik.toml", "default.vcl", "squid.conf",
        "lighttpd.conf", "records.config", "Caddyfile", "httpd.conf", "values.json", "odd", "x.yml",
    ):  # fmt: skip
        text = " ".join(rng.choices(WORDS, k=rng.randrange(60)))
        (tmp_path / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    result = invoke("lint", str(tmp_path))
    assert result.code in {0, 1, 2}
    assert (result.code == 2) == bool(result.err)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.sampled_from([dialect.name for dialect in DIALECTS]))
def test_random_bytes_as_any_dialect(data: bytes, dialect: str) -> None:
    for command in (("lint",), ("fix", "--unsafe")):
        result = invoke(*command, "-", "--dialect", dialect, stdin=data)
        assert (result.code == 2) == bool(result.err)
