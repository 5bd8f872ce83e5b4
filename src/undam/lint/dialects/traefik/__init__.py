"""The Traefik dialect (YAML or TOML): middlewares, and limits on entry points and transports."""

from __future__ import annotations

import re
from dataclasses import replace

from undam.errors import ConfigSyntaxError
from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.traefik.hop import describe
from undam.lint.dialects.traefik.render import render
from undam.lint.dialects.traefik.routes import TraefikConfig
from undam.lint.dialects.traefik.rules import RULES, find
from undam.lint.dialects.traefik.rules.limits import find_static
from undam.lint.routes import AssessedRoute, RouteOutcome
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.textfiles.toml_reader import read_toml
from undam.textfiles.tree import Node
from undam.textfiles.yaml_reader import read_yaml

_YAML = re.compile(
    r"^entrypoints[ \t]*:"
    r"|^http[ \t]*:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*"
    r"[ \t]+(?:routers|services|middlewares|serverstransports)[ \t]*:",
    re.MULTILINE | re.IGNORECASE,
)
_TOML = re.compile(
    r"^[ \t]*\[{1,2}[ \t]*(?:entrypoints|http[ \t]*\.[ \t]*(?:routers|services|middlewares))\b",
    re.MULTILINE | re.IGNORECASE,
)
# Dynamic configuration files may be Go templates, which are invalid YAML or TOML until rendered.
_TEMPLATE = re.compile(r"\{\{-?\s")


def recognises(path: str, text: str) -> bool:
    """Return whether a YAML or TOML file contains Traefik entry points or HTTP routers."""
    name = path.lower()
    if not has_any(text, "ntry", "http", "HTTP", "Http"):
        return False
    if name.endswith((".yaml", ".yml")):
        return bool(_YAML.search(text))
    if name.endswith(".toml"):
        return bool(_TOML.search(text))
    return path == "-" and bool(_TOML.search(text) or _YAML.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streaming routers in a Traefik configuration.

    Raises:
        ConfigSyntaxError: the text is neither YAML nor TOML nor a template.
    """
    try:
        root, unread = _read(source)
    except ConfigSyntaxError:
        template = _TEMPLATE.search(source.text)
        if template is None:
            raise
        line, _ = source.position(template.start())
        return LintResult(
            (), (UnreadPart(source.path, line, "a template, which can be read only when rendered"),)
        )
    if root is None:
        return LintResult((), tuple(unread))
    found = lint_tree(root, source, settings)
    return replace(found, unread=tuple(dict.fromkeys((*unread, *found.unread))))


def lint_tree(root: Node, source: Source, settings: Settings) -> LintResult:
    """Find problems with the streaming routers in a tree.

    The tree may have been built from something other than a Traefik file, such as labels.
    """
    unread: list[UnreadPart] = []
    diagnostics: list[Diagnostic] = []
    config = TraefikConfig(root)
    routers = list(config.routers(settings.hints_for(source.path), source))
    considered = [one for one in routers if one.assessed.assessment.is_considered]
    described: list[AssessedRoute] = []
    for router in routers:
        own: list[Diagnostic] = []
        if router.assessed.assessment.is_considered:
            own = for_route(router.assessed, find(config, router, source))
        diagnostics += own
        described.append(describe(config, router, source, own, settings.target("traefik")))
    for router in considered:
        unread += config.unread_middlewares(router, source)
    streaming = [one for one in considered if one.assessed.outcome is RouteOutcome.STREAMS]
    has_hints = bool(settings.stream_paths)
    diagnostics += find_static(config, streaming, source, has_hints=has_hints)
    return LintResult(
        unique_diagnostics(diagnostics),
        tuple(dict.fromkeys(unread)),
        routes=tuple(described),
    )


def _read(source: Source) -> tuple[Node | None, list[UnreadPart]]:
    name = source.path.lower()
    if name.endswith(".toml") or (
        not name.endswith((".yaml", ".yml")) and _TOML.search(source.text)
    ):
        return read_toml(source), []
    documents = read_yaml(source)
    unread = list(documents.unread)
    for further in documents.roots[1:]:
        line, _ = source.position(further.start)
        unread.append(
            UnreadPart(source.path, line, "a further document, which Traefik does not read")
        )
    return (documents.roots[0] if documents.roots else None), unread


DIALECT = Dialect(
    name="traefik",
    title="Traefik",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
