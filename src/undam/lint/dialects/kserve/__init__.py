"""The KServe dialect: timeouts in KServe InferenceServices and Knative Services."""

from __future__ import annotations

from undam.lint.diagnostics import Diagnostic, for_route, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.kserve.render import render
from undam.lint.dialects.kserve.routes import find_models
from undam.lint.dialects.kserve.rules import RULES, limits
from undam.lint.kubernetes.cluster import read_cluster
from undam.lint.kubernetes.resources import has_kubernetes_name, kinds_in
from undam.lint.settings import Settings
from undam.textfiles.source import Source


def recognises(path: str, text: str) -> bool:
    """Return whether a manifest contains an InferenceService or a Knative Service."""
    if not has_kubernetes_name(path):
        return False
    if "InferenceService" in text and "InferenceService" in kinds_in(text):
        return True
    return "serving.knative.dev/v" in text and "Service" in kinds_in(text)


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the components that stream.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    cluster = read_cluster(source, settings)
    models = list(find_models(cluster, cluster.own))
    found: list[Diagnostic] = []
    for one in models:
        if one.assessed.assessment.is_considered:
            problems = limits.find(one.component, source, cluster.settings.silence)
            found += for_route(one.assessed, problems)
    return LintResult(
        unique_diagnostics(found), cluster.unread, routes=tuple(one.assessed for one in models)
    )


DIALECT = Dialect(
    name="kserve",
    title="KServe and Knative",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    is_additional=True,
)
