"""Validation of MCP tool arguments: limits, command lines, API keys, and paths below the root."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from undam.cli.commands.mcp.arguments import (
    CheckArguments,
    ExplainArguments,
    LintArguments,
    MonitorStatusArguments,
    TapArguments,
    ToolArguments,
    ToolContext,
)
from undam.errors import UsageError

URL = "https://chat.example/v1/chat/completions"
OPENAI = "https://api.openai.com/v1/chat/completions"
ENVIRON = {"OPENAI_API_KEY": "sk-openai-1234", "ANTHROPIC_API_KEY": "sk-ant-1234",
           "GITHUB_TOKEN": "ghp_12345678", "PATH": "/bin"}  # fmt: skip


def context(root: Path, **environ: str) -> ToolContext:
    return ToolContext(root.resolve(), "/etc/undam/monitor.toml", {**ENVIRON, **environ})


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        (CheckArguments, {}),
        (CheckArguments, {"url": "file:///etc/passwd"}),
        (CheckArguments, {"url": "ftp://h/"}),
        (CheckArguments, {"url": "--idle"}),
        (CheckArguments, {"url": "http://h/ x"}),
        (CheckArguments, {"url": "http://h:99999/"}),
        (CheckArguments, {"url": "http://" + "a" * 3000}),
        (CheckArguments, {"url": "http://169.254.169.254/latest/meta-data/"}),
        (CheckArguments, {"url": "http://2852039166/"}),
        (CheckArguments, {"url": "http://[fe80::1]/"}),
        (CheckArguments, {"url": "http://metadata.google.internal/"}),
        (CheckArguments, {"url": URL, "hops": {"model": "http://169.254.1.1/"}}),
        (CheckArguments, {"url": URL, "hops": {"a=b": URL}}),
        (CheckArguments, {"url": URL, "hops": {f"h{number}": URL for number in range(6)}}),
        (CheckArguments, {"url": URL, "timeout_s": 121}),
        (CheckArguments, {"url": URL, "timeout_s": float("nan")}),
        (CheckArguments, {"url": URL, "headers": {"X-A": "1\r\nX-B: 2"}}),
        (CheckArguments, {"url": URL, "headers": {"X A": "1"}}),
        (CheckArguments, {"url": URL, "streams": 1000}),
        (CheckArguments, {"url": URL, "body": "text"}),
        (ExplainArguments, {"name": ""}),
        (LintArguments, {"paths": []}),
        (LintArguments, {"paths": ["a"] * 51}),
        (TapArguments, {"capture": "a.pcap", "ports": [0]}),
        (MonitorStatusArguments, {"target": "a b"}),
    ],
)
def test_invalid_arguments_are_rejected(
    arguments: type[ToolArguments], given: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        arguments.model_validate(given)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/v1", "http://model:8000/", "http://10.0.0.5/"]
)
def test_internal_hosts_can_be_checked(url: str) -> None:
    assert CheckArguments(url=url).url == url


def test_secrets_are_in_files_and_no_value_becomes_an_option(tmp_path: Path) -> None:
    arguments = CheckArguments(
        url=URL, headers={"Authorization": "Bearer sk-secret-123", "X-File": "@/etc/passwd"},
        prompt="--insecure", model="-k", body={"stream": True}, experiments=False, beacon=True,
        hops={"model": "http://m:8000/v1/chat/completions"},
    )  # fmt: skip
    command = arguments.command(context(tmp_path), tmp_path)
    assert command == [
        "check", "--timeout=60", "--hop=model=http://m:8000/v1/chat/completions",
        f"-H@{tmp_path}/headers", "--model=-k", "--prompt=--insecure",
        f"--data=@{tmp_path}/body.json", "--no-experiments", "--beacon", "--", URL,
    ]  # fmt: skip
    assert "sk-secret-123" not in " ".join(command)
    assert (tmp_path / "headers").read_text().splitlines()[1] == "X-File: @/etc/passwd"
    assert (tmp_path / "headers").stat().st_mode & 0o77 == 0
    assert "sk-secret-123" in arguments.secrets()


def test_a_large_body_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="larger than 256 KiB"):
        CheckArguments(url=URL, body={"x": "y" * 300_000}).command(context(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("url", "hops", "environ", "keys"),
    [
        (OPENAI, {}, {}, {"OPENAI_API_KEY"}),
        ("https://api.anthropic.com/v1/messages", {}, {}, {"ANTHROPIC_API_KEY"}),
        (URL, {}, {}, set()),
        ("http://api.openai.com/v1/chat/completions", {}, {}, set()),
        ("https://api.openai.com.evil.example/v1/chat/completions", {}, {}, set()),
        (OPENAI, {"evil": URL}, {}, set()),
        (URL, {}, {"OPENAI_BASE_URL": "https://chat.example/v1"}, {"OPENAI_API_KEY"}),
        (URL, {"m": OPENAI}, {"OPENAI_BASE_URL": "https://chat.example/v1"}, {"OPENAI_API_KEY"}),
        (URL, {}, {"OPENAI_BASE_URL": "not a url"}, set()),
    ],
)
def test_a_key_is_passed_only_if_every_url_is_its_providers(
    tmp_path: Path, url: str, hops: dict[str, str], environ: dict[str, str], keys: set[str]
) -> None:
    passed = CheckArguments(url=url, hops=hops).environ(context(tmp_path, **environ))
    assert {name for name in passed if name in ENVIRON} == keys | {"PATH"}


def test_paths_must_exist_below_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "nginx.conf").write_text("")
    (root / "link").symlink_to("/etc/passwd")
    (root / "-r").write_text("")
    (tmp_path / "outside.conf").write_text("")
    found = LintArguments(paths=["nginx.conf", "-r", "."], select=["NGX"], ignore=["NGX101"],
                          dialect="nginx", markdown=True)  # fmt: skip
    assert found.command(context(root), tmp_path)[-4:] == ["--", "nginx.conf", "./-r", "."]
    for path in ("../outside.conf", "/etc/passwd", "link", "missing", "a\0b", "~/x"):
        with pytest.raises(UsageError, match="below the root"):
            LintArguments(paths=[path]).command(context(root), tmp_path)


def test_a_capture_must_be_a_file_of_limited_size(tmp_path: Path) -> None:
    capture = tmp_path / "a.pcap"
    capture.write_bytes(b"")
    command = TapArguments(capture="a.pcap", ports=[80]).command(context(tmp_path), tmp_path)
    assert command == ["tap", "--port=80", "-r", str(capture.resolve())]
    with capture.open("wb") as file:
        file.truncate((512 << 20) + 1)
    for path, message in (("a.pcap", "larger than 512 MiB"), (".", "is not a file")):
        with pytest.raises(UsageError, match=message):
            TapArguments(capture=path).command(context(tmp_path), tmp_path)


def test_the_status_needs_a_configuration(tmp_path: Path) -> None:
    arguments = MonitorStatusArguments(target="chat")
    assert arguments.command(context(tmp_path), tmp_path) == [
        "monitor", "--config=/etc/undam/monitor.toml", "status", "--target=chat"
    ]  # fmt: skip
    assert arguments.environ(context(tmp_path))["GITHUB_TOKEN"] == "ghp_12345678"
    with pytest.raises(UsageError, match="--monitor-config"):
        arguments.command(ToolContext(tmp_path, None, {}), tmp_path)


def test_explain_separates_its_name_from_options(tmp_path: Path) -> None:
    arguments = ExplainArguments(name="--help", version="1.22")
    assert arguments.command(context(tmp_path), tmp_path) == [
        "explain", "--version=1.22", "--", "--help"
    ]  # fmt: skip
