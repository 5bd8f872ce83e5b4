"""JSON Schemas for every `--json` result and for the record.

`scripts/write-schemas` writes them to docs/schemas/NAME.VERSION.json. Within a version, fields are
only added, so the published schemas allow fields that they do not list.
"""

from __future__ import annotations

from undam.cli.schemas.bench import BENCH, COMPARE
from undam.cli.schemas.check import CHECK, MONITOR, MONITOR_LOG, TAP, WATCH
from undam.cli.schemas.lint import EXPLAIN, FIX, LINT, RENDER, RULES
from undam.cli.schemas.notation import JsonSchema, NamedForm, compile_form
from undam.cli.schemas.other import COMPLETION, DOCTOR, GATEWAY, LAB, MCP, SIM
from undam.cli.schemas.record import RECORD

VERSION = 1
"""The value of "schema" in every result."""

FORMS: tuple[NamedForm, ...] = (
    BENCH, CHECK, COMPARE, COMPLETION, DOCTOR, EXPLAIN, FIX, GATEWAY, LAB, LINT, MCP, MONITOR,
    MONITOR_LOG, RECORD, RENDER, RULES, SIM, TAP, WATCH,
)  # fmt: skip
"""One form per command; `report` writes the forms of check and bench."""


def schema_of(form: NamedForm, *, closed: bool = False) -> JsonSchema:
    """Return the JSON Schema for a form.

    Args:
        closed: reject fields that the form does not list, to test that it is complete.
    """
    head: JsonSchema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:undam:{form.name}:{VERSION}",
        "title": form.title,
    }
    return head | compile_form(form.form, closed=closed)


__all__ = ["FORMS", "VERSION", "JsonSchema", "NamedForm", "schema_of"]
