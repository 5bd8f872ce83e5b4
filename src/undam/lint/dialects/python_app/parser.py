"""Parser for Python programs: syntax tree with positions, imported names and assignments.

The program is parsed and never imported or executed.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property

from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
ScopeNode = FunctionNode | ast.Lambda | ast.Module

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.Module)
_LINE_END = re.compile(r"\r\n|\r|\n")
# In real programs, chains of names and calls are much shorter than this.
_MAX_CHAIN = 40


def parse_program(source: Source) -> PythonProgram:
    """Parse a program.

    Raises:
        ConfigSyntaxError: the text is not Python of the version that runs undam.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the program may contain invalid escapes
            tree = ast.parse(source.text)
    except SyntaxError as error:
        lines = source.text.count("\n") + 1
        raise ConfigSyntaxError(
            error.msg,
            path=source.path,
            line=min(max(error.lineno or 1, 1), lines),
            column=max(error.offset or 1, 1),
        ) from None
    except (ValueError, MemoryError, RecursionError):
        message = "the program is nested too deeply or contains a null character"
        raise source.error(message, 0) from None
    return PythonProgram(source, tree)


class PythonProgram:
    """A parsed Python program.

    Args:
        source: its text.
        tree: its syntax tree.
    """

    def __init__(self, source: Source, tree: ast.Module) -> None:
        self.source = source
        self.tree = tree
        self.nodes = list(ast.walk(tree))
        self._parents: dict[ast.AST, ast.AST] = {}
        self._scopes: dict[ast.AST, ScopeNode] = {}
        for node in self.nodes:  # outer nodes come before inner nodes
            scope = node if isinstance(node, _SCOPES) else self._scopes[node]
            for child in ast.iter_child_nodes(node):
                self._parents[child] = node
                self._scopes[child] = scope
        self.calls = sorted(
            (node for node in self.nodes if isinstance(node, ast.Call)),
            key=lambda one: (one.lineno, one.col_offset),
        )
        self.functions = sorted(
            (one for one in self.nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)),
            key=_position,
        )
        self._imports = dict(_imports(self.nodes))

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(found.end() for found in _LINE_END.finditer(self.source.text))]

    def _offset(self, line: int, column: int) -> int:
        """Return the offset for a line and a column in UTF-8 bytes, as `ast` counts them."""
        start = self._line_starts[line - 1]
        text = self.source.text[start : start + column]
        if not text.isascii():
            text = text.encode("utf-8")[:column].decode("utf-8", "ignore")
        return start + len(text)

    def start(self, node: ast.AST) -> int:
        """Return the offset of the start of a node."""
        return self._offset(node.lineno, node.col_offset)  # type: ignore[attr-defined]

    def end(self, node: ast.AST) -> int:
        """Return the offset of the end of a node (exclusive)."""
        return self._offset(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Return the span of a node on its first line."""
        start = self.start(node)
        _, line_end = self.source.line_span(start)
        text = self.source.text[start : min(self.end(node), line_end)]
        return start, start + len(text.rstrip())

    def name_span(self, function: FunctionNode) -> tuple[int, int]:
        """Return the span of a function's name in its definition."""
        start = self.source.text.index(function.name, self.start(function))
        return start, start + len(function.name)

    def line(self, node: ast.AST) -> int:
        """Return the line number of the start of a node, counted from 1."""
        return self.source.position(self.start(node))[0]

    def dotted(self, expression: ast.AST) -> str:
        """Return the dotted name of an expression, with imported names expanded.

        A call in the chain is written as ``()``: ``httpx.AsyncClient().stream``. The result begins
        with a dot if the chain begins with another expression.
        """
        parts: list[str] = []
        for _ in range(_MAX_CHAIN):
            if isinstance(expression, ast.Attribute):
                parts.append(f".{expression.attr}")
                expression = expression.value
            elif isinstance(expression, ast.Call):
                parts.append("()")
                expression = expression.func
            else:
                break
        name = expression.id if isinstance(expression, ast.Name) else ""
        return self._imports.get(name, name) + "".join(reversed(parts))

    def called(self, call: ast.Call) -> str:
        """Return the dotted name of the called function."""
        return self.dotted(call.func)

    def imports_any(self, *packages: str) -> bool:
        """Return whether the program imports any of these packages or their submodules."""
        return any(
            name == package or name.startswith(f"{package}.")
            for name in self._imports.values()
            for package in packages
        )

    def parents(self, node: ast.AST) -> Iterator[ast.AST]:
        """Yield the ancestors of a node, innermost first."""
        while node in self._parents:
            node = self._parents[node]
            yield node

    def scope_of(self, node: ast.AST) -> ScopeNode:
        """Return the function that contains a node, or else the module."""
        return self._scopes.get(node, self.tree)

    def own_nodes(self, scope: ast.AST) -> list[ast.AST]:
        """Return the nodes in a scope, in text order, without the nodes of nested functions."""
        return self._own_nodes[scope]

    @cached_property
    def _own_nodes(self) -> dict[ast.AST, list[ast.AST]]:
        found: dict[ast.AST, list[ast.AST]] = {
            node: [] for node in self.nodes if isinstance(node, _SCOPES)
        }
        for node in self.nodes:
            if node is not self.tree:
                found[self.scope_of(node)].append(node)
        for nodes in found.values():
            nodes.sort(key=_position)
        return found

    def is_generator(self, scope: ast.AST) -> bool:
        """Return whether a function is a generator."""
        return isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef) and any(
            isinstance(one, ast.Yield | ast.YieldFrom) for one in self.own_nodes(scope)
        )

    def function_named(self, name: str, near: ast.AST) -> FunctionNode | None:
        """Return the function with this name that is visible from a node."""
        scopes = [one for one in self.parents(near) if isinstance(one, _SCOPES)]
        named = [
            one
            for one in reversed(self.functions)
            if one.name == name and not isinstance(self._parents[one], ast.ClassDef)
        ]
        for scope in scopes:
            for one in named:
                if self.scope_of(one) is scope:
                    return one
        return None

    def value_of(self, name: str, near: ast.AST) -> ast.expr | None:
        """Return the expression last assigned to a variable before a node, in enclosing scopes.

        ``with expression as name`` counts as an assignment.
        """
        here = _position(near)
        for scope in (one for one in self.parents(near) if isinstance(one, _SCOPES)):
            assigned = self._assignments[scope].get(name, [])
            before = [value for value in assigned if _position(value) <= here]
            if before:
                return before[-1]
            if assigned:
                return assigned[-1]
        return None

    @cached_property
    def _assignments(self) -> dict[ast.AST, dict[str, list[ast.expr]]]:
        found: dict[ast.AST, dict[str, list[ast.expr]]] = {}
        for scope, nodes in self._own_nodes.items():
            names = found.setdefault(scope, {})
            for node in nodes:
                for target, value in _bindings(node):
                    if isinstance(target, ast.Name):
                        names.setdefault(target.id, []).append(value)
        return found

    def loop_over(self, name: str, near: ast.AST) -> ast.For | ast.AsyncFor | None:
        """Return the innermost loop around a node whose loop variable has this name."""
        for one in self.parents(near):
            if isinstance(one, ast.For | ast.AsyncFor) and name in _names_in(one.target):
                return one
        return None

    def strings(self, scope: ast.AST) -> Iterator[str]:
        """Yield the string constants in a scope, without those in nested functions."""
        for node in self.own_nodes(scope):
            if isinstance(node, ast.Constant):
                value = node.value
                if isinstance(value, bytes):
                    yield value.decode("latin-1")
                elif isinstance(value, str):
                    yield value


def keyword(call: ast.Call, *names: str) -> ast.expr | None:
    """Return the value of the first of these keyword arguments that the call contains."""
    for name in names:
        for one in call.keywords:
            if one.arg == name:
                return one.value
    return None


def has_unpacked(call: ast.Call) -> bool:
    """Return whether a call has unpacked arguments (``*`` or ``**``), known only at run time."""
    return any(one.arg is None for one in call.keywords) or any(
        isinstance(one, ast.Starred) for one in call.args
    )


def text_of(expression: ast.AST | None) -> str | None:
    """Return the text of a string or bytes constant; ``None`` for any other expression."""
    if not isinstance(expression, ast.Constant):
        return None
    if isinstance(expression.value, bytes):
        return expression.value.decode("latin-1")
    return expression.value if isinstance(expression.value, str) else None


def number_of(expression: ast.AST | None) -> float | None:
    """Return the value of a numeric constant; ``None`` for any other expression."""
    value = expression.value if isinstance(expression, ast.Constant) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def is_true(expression: ast.AST | None) -> bool:
    """Return whether an expression is the constant ``True``."""
    return isinstance(expression, ast.Constant) and expression.value is True


def is_none(expression: ast.AST | None) -> bool:
    """Return whether an expression is the constant ``None``."""
    return isinstance(expression, ast.Constant) and expression.value is None


def dict_items(expression: ast.AST | None) -> Iterator[tuple[str, ast.expr]]:
    """Yield the entries in a dictionary literal that have string keys, with lower-case keys."""
    if isinstance(expression, ast.Dict):
        for key, value in zip(expression.keys, expression.values, strict=True):
            text = text_of(key)
            if text is not None:
                yield text.lower(), value


def last_name(dotted: str) -> str:
    """Return the last part of a dotted name."""
    return dotted.rpartition(".")[2]


def _position(node: ast.AST) -> tuple[int, int]:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def _imports(nodes: list[ast.AST]) -> Iterator[tuple[str, str]]:
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                first = one.name.partition(".")[0]
                yield (one.asname, one.name) if one.asname else (first, first)
        elif isinstance(node, ast.ImportFrom):
            for one in node.names:
                yield one.asname or one.name, f"{node.module or ''}.{one.name}"


def _bindings(node: ast.AST) -> Iterator[tuple[ast.AST, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield target, node.value
    elif isinstance(node, ast.AnnAssign | ast.NamedExpr):
        if node.value is not None:
            yield node.target, node.value
    elif isinstance(node, ast.withitem) and node.optional_vars is not None:
        yield node.optional_vars, node.context_expr


def _names_in(target: ast.AST) -> set[str]:
    return {one.id for one in ast.walk(target) if isinstance(one, ast.Name)}
