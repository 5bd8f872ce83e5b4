"""The commands dialect: command lines that start engines and servers, in scripts and manifests."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.commands.render import render
from undam.lint.dialects.commands.routes import find_servers, is_yaml, read_roots
from undam.lint.dialects.commands.rules import RULES, find
from undam.lint.dialects.commands.rules.buffering import find_options
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_WORDS = (
    "vllm", "sglang", "trtllm-serve", "llama-server", "llama.cpp", "ollama", "gunicorn", "uvicorn",
    "hypercorn", "daphne", "uwsgi", "stream-interval", "stream_interval", "streamInterval",
    "--sse-",
)  # fmt: skip
_NAME = re.compile(
    r"\.(?:ya?ml|json|tpl|sh|bash|service|conf|ini)$|(?:^|[/.])(?:docker|container)file(?:\.[^/]*)?$"
    r"|(?:^|/)procfile(?:\.[^/]*)?$|^-$",
    re.IGNORECASE,
)
_YAML_KEYS = re.compile(
    r"(?:^|[{,\s-])[\"']?(?:command|args|entrypoint|extra_?[aA]rgs|extraCommandArgs|additionalArgs"
    r"|vllmArgs|engineArgs|start_?[cC]ommand|dockerCommand|run_command|stream[_-]?[iI]nterval)"
    r"[\"']?[ \t]*:"
)
_SUPERVISORD = re.compile(r"^\[program:", re.MULTILINE)
_SHELL = re.compile(
    r"(?:^|[\s\"'/;&=])(?:vllm[ \t]+serve|vllm\.entrypoints|sglang\.launch_server|trtllm-serve"
    r"|llama-server|ollama[ \t]+serve|gunicorn|uvicorn|hypercorn|daphne|uwsgi"
    r"|--stream-interval|--sse-(?:ping|keep-alive)-interval)(?=[\s\"'=])"
)


def recognises(path: str, text: str) -> bool:
    """Return whether a file contains commands that start a known engine or server."""
    if not _NAME.search(path) or not has_any(text, *_WORDS):
        return False
    if is_yaml(path):
        return bool(_YAML_KEYS.search(text))
    if path.lower().endswith((".conf", ".ini")) and _SUPERVISORD.search(text) is None:
        return False
    return bool(_SHELL.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the commands that start streaming servers in a file.

    Raises:
        ConfigSyntaxError: the text of a YAML file is not YAML.
    """
    roots = read_roots(source) if is_yaml(source.path) else ()
    servers = list(find_servers(source, roots, settings.hints_for(source.path)))
    found: list[Diagnostic] = []
    for server in servers:
        if server.assessed.assessment.is_considered:
            found += for_route(server.assessed, find(server, source))
    found += find_options(roots, source)
    return LintResult(unique_diagnostics(found), routes=tuple(one.assessed for one in servers))


DIALECT = Dialect(
    name="commands",
    title="command lines",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
