"""Profile that identifies MCP servers and their routes."""

from __future__ import annotations

from undam.lint.evidence.profile import ServiceProfile, ServiceRole

PROFILE = ServiceProfile(
    name="mcp",
    title="MCP server",
    role=ServiceRole.HUB,
    names=("mcp", "mcp-server", "mcp-gateway", "mcpo", "fastmcp"),
    images=("open-webui/mcpo", "mcp/"),
    source="modelcontextprotocol.io, specification, Streamable HTTP",
    dated="2026-11",
)
