"""Schemas of the JSON output of the commands sim, gateway, lab, doctor and completion."""

from __future__ import annotations

from undam.cli.schemas.findings import SCHEMA, VERDICT, command
from undam.cli.schemas.notation import Form, NamedForm

_ADDRESS: Form = {"schema": SCHEMA, "command": command("gateway"), "url": "string"}
_CONFIGURATION: Form = {"schema": SCHEMA, "command": command("gateway"), "config": {"*": "any"}}

SIM = NamedForm(
    "sim",
    "Startup message of undam sim",
    {"schema": SCHEMA, "command": command("sim"), "url": "string"},
)

GATEWAY = NamedForm(
    "gateway",
    "Startup message of undam gateway, or the effective configuration with --check-config",
    (_ADDRESS, _CONFIGURATION),
)

MCP = NamedForm(
    "mcp",
    "Startup message of undam mcp --listen",
    {"schema": SCHEMA, "command": command("mcp"), "url": "string"},
)

LAB = NamedForm(
    "lab",
    "Result of an undam lab experiment",
    {
        "schema": SCHEMA,
        "command": command("lab"),
        "experiment": "string",
        "proxy": "string",
        "readers": "integer",
        "rows": [
            {
                "form": "string: path of the simulator",
                "path": "string: set-up of the proxy",
                "ttft_ms": {
                    "count": "integer", "p50": "number", "p90": "number", "p99": "number",
                },
                "failed": "integer",
                "verdict": VERDICT,
                "release_bytes": "integer|null",
            }
        ],
        "fixes": [{"path": "string", "where": "string", "text": "string"}],
    },
)  # fmt: skip

DOCTOR = NamedForm(
    "doctor",
    "Result of undam doctor",
    {
        "schema": SCHEMA,
        "command": command("doctor"),
        "capabilities": [
            {
                "name": "string",
                "state": "'ok'|'limited'|'missing'|'failed'",
                "text": "string: for people; may change",
                "details": {"*": "any"},
            }
        ],
    },
)

COMPLETION = NamedForm(
    "completion",
    "Result of undam completion",
    {
        "schema": SCHEMA,
        "command": command("completion"),
        "shell": "'bash'|'zsh'|'fish'",
        "text": "string: the script",
    },
)
