"""Parser for JavaScript and TypeScript programs, based on tree-sitter.

tree-sitter is an optional dependency, so it is imported when the first program is read.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property, lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING

from undam.errors import MissingExtra
from undam.textfiles.source import Source

if TYPE_CHECKING:
    from tree_sitter import Node, Parser

FUNCTIONS = frozenset({
    "arrow_function", "function_expression", "function_declaration", "method_definition",
    "generator_function", "generator_function_declaration", "program",
})  # fmt: skip
LOOPS = frozenset({"while_statement", "do_statement", "for_statement", "for_in_statement"})
_STRINGS = frozenset({"string", "template_string"})
# Longer callees are ignored, because they are not needed to identify a function.
_MAX_CALLEE = 200
# Hand-written programs are nested at most about 50 levels deep.
_MAX_DEPTH = 500
_TYPESCRIPT = (".ts", ".mts", ".cts")


@lru_cache(maxsize=2)
def _parser(*, typescript: bool) -> Parser:
    try:
        import tree_sitter_typescript  # noqa: PLC0415 (optional)
        from tree_sitter import Language, Parser  # noqa: PLC0415 (optional)
    except ImportError:
        raise MissingExtra("install undam[javascript] to read JavaScript") from None
    # The JSX grammar also accepts JavaScript, but it does not accept TypeScript type assertions.
    grammar = (
        tree_sitter_typescript.language_typescript()
        if typescript
        else tree_sitter_typescript.language_tsx()
    )
    return Parser(Language(grammar))


def parse_script(source: Source) -> JavaScriptProgram:
    """Parse a program. Parts that are not valid JavaScript are tolerated.

    Raises:
        MissingExtra: tree-sitter is not installed.
        ConfigSyntaxError: the program is nested too deeply.
    """
    raw = source.text.encode("utf-8", "replace")
    tree = _parser(typescript=source.path.lower().endswith(_TYPESCRIPT)).parse(raw)
    if _is_too_deep(tree.root_node):
        raise source.error("the program is nested too deeply", 0)
    return JavaScriptProgram(source, raw, tree.root_node)


class JavaScriptProgram:
    """A parsed JavaScript or TypeScript program.

    Args:
        source: its text.
        raw: the text in UTF-8, in which nodes have their offsets.
        root: the root of its syntax tree.
    """

    def __init__(self, source: Source, raw: bytes, root: Node) -> None:
        self.source = source
        self.raw = raw
        self.root = root
        self._is_ascii = source.text.isascii()
        self.nodes = list(_walk(root))
        self.by_type: dict[str, list[Node]] = {}
        for node in self.nodes:
            self.by_type.setdefault(node.type, []).append(node)

    def of_type(self, *types: str) -> list[Node]:
        """Return the nodes of the given types in text order."""
        found = [node for name in types for node in self.by_type.get(name, ())]
        return sorted(found, key=lambda node: node.start_byte)

    @property
    def calls(self) -> list[Node]:
        """All calls in text order."""
        return self.by_type.get("call_expression", [])

    def _offset(self, byte: int) -> int:
        return byte if self._is_ascii else len(self.raw[:byte].decode("utf-8", "replace"))

    def start(self, node: Node) -> int:
        """Return the character offset of the start of a node."""
        return self._offset(node.start_byte)

    def end(self, node: Node) -> int:
        """Return the character offset of the end of a node (exclusive)."""
        return self._offset(node.end_byte)

    def span(self, node: Node) -> tuple[int, int]:
        """Return the span of a node on its first line."""
        start = self.start(node)
        _, line_end = self.source.line_span(start)
        text = self.source.text[start : min(self.end(node), line_end)]
        return start, start + len(text.rstrip())

    def line(self, node: Node) -> int:
        """Return the line number of the start of a node, counted from 1."""
        return self.source.position(self.start(node))[0]

    def text(self, node: Node) -> str:
        """Return the text of a node."""
        return self.raw[node.start_byte : node.end_byte].decode("utf-8", "replace")

    def callee(self, call: Node) -> str:
        """Return the called function or constructor without white space, such as ``app.get``."""
        function = call.child_by_field_name("function") or call.child_by_field_name("constructor")
        is_short = function is not None and function.end_byte - function.start_byte <= _MAX_CALLEE
        return "".join(self.text(function).split()) if function is not None and is_short else ""

    def method(self, call: Node) -> str:
        """Return the last part of a callee, such as ``get`` in ``app.get``."""
        return self.callee(call).rpartition(".")[2]

    def string(self, node: Node | None) -> str | None:
        """Return the content of a string literal. Template substitutions are not evaluated."""
        if node is None or node.type not in _STRINGS:
            return None
        return self.text(node)[1:-1]

    def strings_in(self, node: Node) -> Iterator[Node]:
        """Yield the string literals inside a node."""
        for one in _walk(node):
            if one.type in _STRINGS:
                yield one

    @cached_property
    def imports(self) -> dict[str, str]:
        """The module of each imported name and of each variable assigned from `require`."""
        found: dict[str, str] = {}
        for node in self.of_type("import_statement"):
            module = self.string(node.child_by_field_name("source"))
            for one in _walk(node):
                if one.type == "identifier" and module is not None:
                    found[self.text(one)] = module
        for node in self.of_type("variable_declarator"):
            value = node.child_by_field_name("value")
            name = node.child_by_field_name("name")
            module = None if value is None else self.required(value)
            if module is not None and name is not None:
                for one in _walk(name):
                    if one.type in {"identifier", "shorthand_property_identifier_pattern"}:
                        found[self.text(one)] = module
        return found

    def required(self, node: Node) -> str | None:
        """Return the module that a `require` call loads; ``None`` for other expressions."""
        while node.type in {"member_expression", "await_expression"}:
            node = node.child_by_field_name("object") or node.named_children[0]
        if node.type != "call_expression" or self.callee(node) != "require":
            return None
        values = arguments(node)
        return self.string(values[0]) if values else None

    def value_of(self, name: str, near: Node) -> Node | None:
        """Return the initial value in the last declaration of a variable before a node."""
        found = None
        for node in self.of_type("variable_declarator"):
            if node.start_byte > near.start_byte:
                break
            target = node.child_by_field_name("name")
            if target is not None and self.text(target) == name:
                found = node.child_by_field_name("value") or found
        return found


def _walk(root: Node) -> Iterator[Node]:
    """Yield the named nodes below a node in text order, without recursion."""
    pending = [root]
    while pending:
        node = pending.pop()
        yield node
        pending += reversed(node.named_children)


def _is_too_deep(root: Node) -> bool:
    """Return whether a tree is nested so deeply that parent lookups would be slow."""
    level = [root]
    for _ in range(_MAX_DEPTH):
        level = [child for node in level for child in node.named_children]
        if not level:
            return False
    return True


def walk(root: Node) -> Iterator[Node]:
    """Yield a node and the named nodes below it in text order."""
    return _walk(root)


def parents(node: Node) -> Iterator[Node]:
    """Yield the ancestors of a node, innermost first."""
    around = node.parent
    while around is not None:
        yield around
        around = around.parent


def function_of(node: Node) -> Node:
    """Return the function that contains a node, or else the program node."""
    found = node
    for one in parents(node):
        found = one
        if one.type in FUNCTIONS:
            break
    return found


def loops_of(node: Node) -> Iterator[Node]:
    """Return the loops around a node within its function, innermost first."""
    inner = takewhile(lambda one: one.type not in FUNCTIONS, parents(node))
    return (one for one in inner if one.type in LOOPS)


def arguments(call: Node) -> list[Node]:
    """Return the arguments of a call or constructor."""
    found = call.child_by_field_name("arguments")
    children = () if found is None else found.named_children
    return [one for one in children if one.type != "comment"]


def options(call: Node) -> Node | None:
    """Return the last argument of a call if it is an object literal."""
    values = arguments(call)
    return values[-1] if values and values[-1].type == "object" else None


def pair_of(script: JavaScriptProgram, node: Node | None, name: str) -> Node | None:
    """Return the entry for a key in an object literal: a pair or a method."""
    for one in node.named_children if node is not None and node.type == "object" else ():
        key = one.child_by_field_name("key") or one.child_by_field_name("name")
        if key is None:
            continue
        written = script.string(key)
        if (script.text(key) if written is None else written).lower() == name.lower():
            return one
    return None


def option(script: JavaScriptProgram, node: Node | None, name: str) -> Node | None:
    """Return the value for a key in an object literal."""
    pair = pair_of(script, node, name)
    return None if pair is None else pair.child_by_field_name("value")
