"""Structure that every dialect package must have."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import undam.lint.dialects as dialects
from undam.lint import DIALECTS, ConfigRule

TOPICS = {
    "buffering",
    "caching",
    "compression",
    "framing",
    "generators",
    "ineffective",
    "limits",
    "middleware",
    "protocol",
    "relays",
    "sub_filter",
    "throttling",
}
NAMES = sorted(module.name for module in pkgutil.iter_modules(dialects.__path__))

each_dialect = pytest.mark.parametrize("name", NAMES)


def load(name: str) -> ModuleType:
    return importlib.import_module(f"undam.lint.dialects.{name}")


def modules_of(package: ModuleType) -> set[str]:
    return {module.name for module in pkgutil.iter_modules(package.__path__)}


def test_every_dialect_is_registered() -> None:
    assert {dialect.name.replace("-", "_") for dialect in DIALECTS} == set(NAMES)


@each_dialect
def test_a_dialect_has_parser_routes_render_and_rules(name: str) -> None:
    package = load(name)
    assert {"parser", "routes", "render", "rules"} <= modules_of(package)
    dialect = package.DIALECT
    assert (dialect.lint, dialect.recognises) == (package.lint, package.recognises)
    assert dialect.render is load(f"{name}.render").render


@each_dialect
def test_rules_are_in_topic_modules(name: str) -> None:
    package = load(f"{name}.rules")
    topics = modules_of(package)
    assert topics <= TOPICS
    modules = [load(f"{name}.rules.{topic}") for topic in topics]
    defined = [
        value for one in modules for value in vars(one).values() if isinstance(value, ConfigRule)
    ]
    listed = [rule for one in modules for rule in one.RULES]
    codes = [rule.code for rule in package.RULES]
    assert codes == sorted(codes) == sorted(rule.code for rule in listed)
    assert {rule.code for rule in defined} == set(codes)
