"""The LiteLLM dialect: guardrails that hold streams, and time limits."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.litellm.render import render
from undam.lint.dialects.litellm.routes import find_config, find_models
from undam.lint.dialects.litellm.rules import RULES, buffering, limits
from undam.lint.routes import RouteOutcome
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.yaml_reader import read_yaml

# In the values of a chart, the configuration is below another key, such as `proxy_config`.
_CONTENT = re.compile(r"^[ ]*model_list[ \t]*:", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a YAML file contains a LiteLLM model list."""
    if not path.lower().endswith((".yaml", ".yml", "-")) or "model_list" not in text:
        return False
    return bool(_CONTENT.search(text)) and has_any(text, "litellm_params", "litellm_settings")


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the models and the gateway-wide settings in a LiteLLM configuration.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    documents = read_yaml(source)
    root = find_config(documents.roots)
    if root is None:
        return LintResult(unread=documents.unread)
    models = list(find_models(root, settings.hints_for(source.path), source))
    streaming = [one for one in models if one.assessed.outcome is RouteOutcome.STREAMS]
    found: list[Diagnostic] = []
    for model in streaming:
        found += for_route(model.assessed, limits.find(model, source))
    if streaming:
        found += limits.find_global(root, streaming, source)
        found += buffering.find(root, source)
    return LintResult(
        unique_diagnostics(found), documents.unread, routes=tuple(one.assessed for one in models)
    )


DIALECT = Dialect(
    name="litellm",
    title="LiteLLM",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
