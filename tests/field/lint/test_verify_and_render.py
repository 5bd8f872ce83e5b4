"""`fix --verify` with the real programs, and rendering for a given version."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from support.config_files import write
from support.lint_reports import lint_files
from support.undam_command import invoke
from undam.errors import UsageError
from undam.lint.discovery import checkers

NGINX = """\
events {}
http {
  server {
    listen 127.0.0.1:18097;
    location /v1/ {
      proxy_pass http://127.0.0.1:9000;
    }
  }
}
"""
HAPROXY = """\
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
frontend f
  bind 127.0.0.1:18095
  default_backend b
backend b
  server s 127.0.0.1:9000
"""
needs_nginx = pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed")


@needs_nginx
@pytest.mark.parametrize("text", [NGINX, NGINX[NGINX.index("  server") : -2]])
def test_a_fix_that_the_program_accepts_is_kept(text: str) -> None:
    name = write("nginx.conf", text)
    assert invoke("fix", name, "--write", "--verify").code == 1
    assert "proxy_buffering off;" in Path(name).read_text()
    assert checkers.rejection("nginx", name) is None


def install(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Install a fake nginx command, whose last argument is the file to check."""
    program = Path("bin/nginx").absolute()
    write(str(program), f"#!/bin/sh\nfor f; do :; done\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")


def test_a_fix_that_the_program_rejects_is_rolled_back(monkeypatch: pytest.MonkeyPatch) -> None:
    name = write("site/nginx.conf", NGINX)
    install(monkeypatch, "grep -q buffering $f && { echo bad line; exit 1; }; exit 0")
    result = invoke("fix", name, "--write", "--verify")
    assert result.code == 2
    assert "was rejected and has been restored: nginx: bad line" in result.err
    assert Path(name).read_text() == NGINX
    assert result.out == "nothing to fix\n"


def test_a_file_that_cannot_be_restored_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    name = write("site/nginx.conf", NGINX)
    change = "grep -q buffering $f && { echo '#' >> $f; echo bad; exit 1; }; exit 0"
    install(monkeypatch, change)
    result = invoke("fix", name, "--write", "--verify")
    assert result.code == 2
    assert "could not be restored: " in result.err


def test_a_configuration_that_was_invalid_before_is_not_rolled_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = write("nginx.conf", NGINX)
    install(monkeypatch, "exit 1")
    assert invoke("fix", name, "--write", "--verify").code == 1
    assert "proxy_buffering off;" in Path(name).read_text()


def test_without_a_checker_nothing_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert not checkers.has_checker("nginx")
    assert not checkers.has_checker("traefik")
    assert checkers.rejection("haproxy", write("haproxy.cfg", "")) is not None


@pytest.mark.parametrize(
    ("program", "file", "text"),
    [
        ("haproxy", "haproxy.cfg", HAPROXY),
        ("squid", "squid.conf", "http_port 127.0.0.1:3129\n"),
        ("lighttpd", "lighttpd.conf", 'server.document-root = "/tmp"\nserver.port = 18096\n'),
    ],
)  # fmt: skip
def test_each_installed_checker_accepts_a_valid_file(program: str, file: str, text: str) -> None:
    if not checkers.has_checker(program):
        pytest.skip(f"{program} is not installed")
    assert checkers.rejection(program, write(file, text)) is None
    assert checkers.rejection(program, write(file, "} nonsense {\n")) is not None


@pytest.mark.parametrize(
    ("dialect", "file", "line", "old", "new"),
    [
        ("nginx", "nginx.conf", "proxy_http_version 1.1;", "1.22", "1.30"),
        ("haproxy", "haproxy.cfg", "option http-no-delay", "3.0", "3.4.7"),
        ("trafficserver", "records.config", "CONFIG proxy.config.", "9.2", "10"),
    ],
)
def test_a_configuration_is_rendered_for_a_version(
    dialect: str, file: str, line: str, old: str, new: str
) -> None:
    def rendered(*args: str) -> str:
        return invoke("render", dialect, "--upstream", "http://127.0.0.1:9000", *args).out

    assert line in rendered()
    assert line in rendered("--target", old)
    text = rendered("--target", new)
    assert line not in text
    found = lint_files({file: text}, "--stream", "/", "--target", f"{dialect}={new}", paths=(file,))
    assert found.faults == []


def test_an_invalid_version_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="must be a version"):
        invoke("render", "nginx", "--upstream", "http://a:1", "--target", "new")
