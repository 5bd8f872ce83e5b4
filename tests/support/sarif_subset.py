"""JSON schema for the subset of SARIF 2.1.0 that undam writes.

The official schema (docs.oasis-open.org) is not part of a Python package, and tests use no network.
This schema accepts only the properties that undam uses. The comments give the section of the
standard. If undam writes further properties, add them from the standard.
"""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT = {"type": "string", "minLength": 1}
_COUNT_FROM_1 = {"type": "integer", "minimum": 1}


def _object(required: str = "", /, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def _list(of: Schema, *, unique: bool = False, least: int = 0) -> Schema:
    return {"type": "array", "items": of, "uniqueItems": unique, "minItems": least}


_LEVEL = {"enum": ["none", "note", "warning", "error"]}
# 3.4: a reference relative to one of the run's base URIs, or an absolute file URI.
_MESSAGE = _object("text", text=_TEXT)
_ARTIFACT = {
    **_object(
        "uri",
        uri={
            "type": "string",
            "pattern": r"^(?:file:///)?(?:[A-Za-z0-9._~/@+,=!$&'()*;-]|%[0-9A-F]{2})+$",
        },
        uriBaseId={"const": "%SRCROOT%"},
    ),
}
_REGION = _object(  # 3.30
    "startLine",
    startLine=_COUNT_FROM_1, startColumn=_COUNT_FROM_1,
    endLine=_COUNT_FROM_1, endColumn=_COUNT_FROM_1,
)  # fmt: skip
_LOCATION = _object(  # 3.28, 3.29
    "physicalLocation",
    physicalLocation=_object("artifactLocation", artifactLocation=_ARTIFACT, region=_REGION),
)
_REPLACEMENT = _object(  # 3.57; the inserted content may be empty
    "deletedRegion",
    deletedRegion=_REGION,
    insertedContent=_object("text", text={"type": "string"}),
)
_FIX = _object(  # 3.55, 3.56
    "artifactChanges",
    description=_MESSAGE,
    artifactChanges=_list(
        _object(
            "artifactLocation replacements",
            artifactLocation=_ARTIFACT,
            replacements=_list(_REPLACEMENT, least=1),
        ),
        unique=True,
        least=1,
    ),
)
_RESULT = _object(  # 3.27
    "message ruleId",
    ruleId=_TEXT,
    ruleIndex={"type": "integer", "minimum": 0},
    level=_LEVEL,
    message=_MESSAGE,
    locations=_list(_LOCATION),
    fixes=_list(_FIX, unique=True),
)
_RULE = _object(  # 3.49
    "id",
    id=_TEXT,
    name=_TEXT,
    shortDescription=_MESSAGE,
    fullDescription=_MESSAGE,
    help=_MESSAGE,
    defaultConfiguration=_object(level=_LEVEL),
    properties={"type": "object"},
)
_DRIVER = _object(  # 3.19
    "name",
    name=_TEXT,
    version=_TEXT,
    semanticVersion={"type": "string", "pattern": r"^\d+\.\d+\.\d+"},
    rules=_list(_RULE, unique=True),
)
_INVOCATION = _object(  # 3.20, 3.58
    "executionSuccessful",
    executionSuccessful={"type": "boolean"},
    toolExecutionNotifications=_list(
        _object("message", level=_LEVEL, message=_MESSAGE, locations=_list(_LOCATION, unique=True))
    ),
)
_RUN = _object(  # 3.14
    "tool",
    tool=_object("driver", driver=_DRIVER),
    columnKind={"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
    originalUriBaseIds=_object(**{"%SRCROOT%": _object("uri", uri={"pattern": "^file:///.*/$"})}),
    invocations=_list(_INVOCATION, unique=True),
    results=_list(_RESULT),
)
SARIF_SUBSET: Schema = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    **_object(  # 3.13
        "version runs",
        **{"$schema": {"type": "string", "format": "uri"}},
        version={"const": "2.1.0"},
        runs=_list(_RUN),
    ),
}
