"""Lazy exports: a package's public names are imported on first use (PEP 562)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping


def lazy_exports(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module-level ``__getattr__`` for ``package``.

    A name is imported when it is first used, and is an ordinary attribute of the package from then
    on. This keeps the import of a package fast if its modules load large dependencies.

    Args:
        package: ``__name__`` of the package.
        modules: submodule of each public name, without the package's name.
    """

    def load(name: str) -> object:
        try:
            module = modules[name]
        except KeyError:
            raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
        value = getattr(importlib.import_module(f"{package}.{module}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return load
