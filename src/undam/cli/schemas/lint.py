"""Forms of the JSON results of the commands lint, fix, render, rules and explain."""

from __future__ import annotations

from undam.cli.schemas.findings import FIX as REMEDY
from undam.cli.schemas.findings import PROBLEM, SCHEMA, SEVERITY, command
from undam.cli.schemas.notation import Form, NamedForm

_SAFETY = "'safe'|'unsafe'|'none'"
_LIMIT: Form = {
    "seconds": "number",
    "title": "string",
    "path": "string",
    "line": "integer",
    "default": "boolean: no line sets it",
}

LINT = NamedForm(
    "lint",
    "Result of undam lint",
    {
        "schema": SCHEMA,
        "command": command("lint"),
        "findings": [
            {
                "code": "string: never reused; see undam explain CODE",
                "slug": "string",
                "severity": SEVERITY,
                "path": "string",
                "line": "integer",
                "column": "integer",
                "length": "integer",
                "message": "string: for people; may change",
                "dialect": "string",
                "fix": (
                    "null",
                    {
                        "where": "string",
                        "text": "string: the lines that the fix adds",
                        "safety": _SAFETY,
                        "diff": ["string"],
                        "edits": [{"*": "any"}],
                    },
                ),
            }
        ],
        "unread": [{"path": "string", "line": "integer", "what": "string"}],
        "problems": [PROBLEM],
        "routes": {
            "total": "integer",
            "streaming": "integer",
            "maybe": "integer",
            "unknown": "integer",
            "list": [
                {
                    "path": "string",
                    "line": "integer",
                    "route": "string",
                    "upstream": "string|null",
                    "outcome": "string",
                    "evidence": ["string"],
                }
            ],
        },
        "files": [{"path": "string", "dialect": "string", "read": "boolean"}],
        "settings": [{"file": "string", "restrictions": "string"}],
        "passed_over": [{"path": "string", "kind": "string", "reason": "string"}],
        "chain": [
            {
                "hops": [
                    {
                        "tier": "string",
                        "title": "string",
                        "path": "string",
                        "line": "integer",
                        "assumed": "boolean: joined to the previous hop by its position",
                        "idle_limit_s": "number|null: 0 without a limit, null if it is unknown",
                        "total_limit_s": "number|null: 0 without a limit, null if it is unknown",
                        "buffers": "boolean|null",
                        "compresses": "boolean|null",
                        "heartbeat_s": "number|null",
                    }
                ],
                "idle_limit": ("null", _LIMIT),
                "total_limit": ("null", _LIMIT),
                "buffers": ["string"],
                "compresses": ["string"],
                "heartbeat": ("null", {"seconds": "number", "title": "string"}),
            }
        ],
    },
)

FIX = NamedForm(
    "fix",
    "Result of undam fix",
    {
        "schema": SCHEMA,
        "command": command("fix"),
        "files": [{"path": "string", "dialect": "string", "diff": "string", "written": "boolean"}],
        "problems": [PROBLEM],
    },
)

RENDER = NamedForm(
    "render",
    "Result of undam render",
    {
        "schema": SCHEMA,
        "command": command("render"),
        "dialect": "string",
        "text": "string: the configuration",
        "output": "string|null: the file that was written",
    },
)

RULES = NamedForm(
    "rules",
    "Result of undam rules",
    {
        "schema": SCHEMA,
        "command": command("rules"),
        "rules": [
            {
                "code": "string",
                "slug": "string",
                "severity": SEVERITY,
                "message": "string",
                "dialect": "string|null: null for rules about streams",
                "safety": f"{_SAFETY}|null: safety of the fix",
                "source": "string|null",
            }
        ],
    },
)

_CLAIM: Form = {
    "about": "string",
    "since": "string|null: first version to which the claim applies",
    "until": "string|null: first version to which it no longer applies",
    "conditions": {"*": "string"},
    "checked": "string: month of the last check",
    "evidence": {
        "kind": "string",
        "source": "string",
        "version": "string|null",
        "command": "string|null",
    },
    "text?": "string",
    "seconds?": "number|null",
    "header?": "string",
    "pattern?": "string",
    "certain?": "boolean",
    "trouble?": "string",
    "where?": "string",
}
_INTERMEDIARY: Form = {
    "name": "string",
    "title": "string",
    "kind": "string",
    "signs": [{"header": "string", "pattern": "string"}],
    "holds": "string",
    "cuts": "string",
    "idle_limit_s": "number|null",
    "total_limit_s": "number|null",
    "origin_lost": "string",
    "client_left": "string",
    "built_on": "string",
    "fixes": {"*": REMEDY},
    "evidence": "string",
    "version": "string",
    "source": "string",
    "checked": "string",
    "note": "string",
    "claims": [_CLAIM],
}
_RULE: Form = {
    "code": "string",
    "slug": "string",
    "severity": SEVERITY,
    "message": "string",
    "explain": "string: all sections as plain text",
    "safety?": _SAFETY,
    "affected?": {"since": "string|null", "until": "string|null"},
    **{f"{name}?": "string|null" for name in
       ("what", "why", "detection", "causes", "measured", "fix", "source")},
}  # fmt: skip

EXPLAIN = NamedForm(
    "explain",
    "Result of undam explain",
    {
        "schema": SCHEMA,
        "command": command("explain"),
        "version?": "string",
        "rules": [_RULE],
        "intermediaries": [_INTERMEDIARY],
    },
)
