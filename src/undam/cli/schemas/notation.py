"""Short notation for the forms of JSON results, and the translation to JSON Schema.

A form is one of:

- a text: alternatives separated by ``|``, each a JSON type or a quoted string, optionally with a
  colon and a description: ``"number|null: time to the first content"``, ``"'ok'|'failed'"``;
- a list with one form: an array of it;
- a dict: an object. A name that ends in ``?`` may be absent. The name ``*`` stands for all names.
- a tuple: alternatives, each a form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

Form: TypeAlias = "str | Sequence[Form] | Mapping[str, Form]"
JsonSchema = dict[str, Any]

_TYPES = frozenset({"string", "number", "integer", "boolean", "null", "array", "object"})
_ANY = "any"


@dataclass(frozen=True, slots=True)
class NamedForm:
    """Form of one command's JSON result.

    Attributes:
        name: name of the file in docs/schemas.
        title: one-line title for readers.
    """

    name: str
    title: str
    form: Form


def compile_form(form: Form, *, closed: bool = False) -> JsonSchema:
    """Return the JSON Schema for a form.

    Args:
        closed: objects have no other fields than those listed.
    """
    if isinstance(form, str):
        return _scalar(form)
    if isinstance(form, Mapping):
        return _object(form, closed)
    if isinstance(form, tuple):
        return {"anyOf": [compile_form(one, closed=closed) for one in form]}
    (item,) = form
    return {"type": "array", "items": compile_form(item, closed=closed)}


def _object(form: Mapping[str, Form], closed: bool) -> JsonSchema:
    schema: JsonSchema = {"type": "object"}
    fields = {name: compile_form(one, closed=closed) for name, one in form.items() if name != "*"}
    if fields:
        schema["properties"] = {name.removesuffix("?"): one for name, one in fields.items()}
        schema["required"] = [name for name in fields if not name.endswith("?")]
    if "*" in form:
        schema["additionalProperties"] = compile_form(form["*"], closed=closed)
    elif closed:
        schema["additionalProperties"] = False
    return schema


def _scalar(text: str) -> JsonSchema:
    kinds, _, description = text.partition(": ")
    schema: JsonSchema = {"description": description} if description else {}
    names = kinds.split("|")
    values = [name.strip("'") for name in names if name.startswith("'")]
    types = [name for name in names if not name.startswith("'")]
    if types == [_ANY]:
        return schema
    if unknown := set(types) - _TYPES:
        raise ValueError(f"unknown type in {text!r}: {sorted(unknown)}")
    if values:
        return schema | {"enum": [*values, *(None for name in types if name == "null")]}
    return schema | {"type": types[0] if len(types) == 1 else types}
