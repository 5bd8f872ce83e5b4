"""Model Context Protocol server: the tools, and their transports stdio and Streamable HTTP."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mcp_types as protocol
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import ValidationError

from undam import __version__
from undam.cli.commands.mcp.arguments import (
    CheckArguments,
    ExplainArguments,
    LintArguments,
    MonitorStatusArguments,
    TapArguments,
    ToolArguments,
    ToolContext,
)
from undam.cli.commands.mcp.input_lines import InputLines
from undam.cli.commands.mcp.run_tool import ToolResult, run_tool
from undam.wire.url import bracketed, is_loopback

_PATH = "/mcp"
_MAX_RUNNING = 2
# Clients keep a notification stream open, so their connections do not end by themselves.
_SHUTDOWN_S = 2
_INSTRUCTIONS = (
    "undam finds the proxy that buffers the token stream of a language model. Start with check on "
    "the URL that users call, and add the inner hops if they are known; explain describes a "
    "finding; lint finds the line of a configuration that causes it; tap measures a proxy from a "
    "packet capture; monitor_status shows targets that are checked continuously."
)


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """An MCP tool: its name, its description for the model, and its argument class."""

    name: str
    title: str
    description: str
    arguments: type[ToolArguments]
    uses_network: bool = False

    def as_protocol(self) -> protocol.Tool:
        """Return the entry for the list of tools that clients receive."""
        return protocol.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.arguments.model_json_schema(),
            annotations=protocol.ToolAnnotations(
                read_only_hint=True, destructive_hint=False, open_world_hint=self.uses_network
            ),
        )


TOOLS = (
    ToolDefinition(
        "check",
        "Check a streaming endpoint",
        "Send one streaming request to an endpoint, and to hops behind it, and find the hop that "
        "holds the stream, for how long, in what pattern, and the line that fixes it. The request "
        "generates one answer, and up to about ten if experiments are on.",
        CheckArguments,
        uses_network=True,
    ),
    ToolDefinition(
        "explain",
        "Explain a finding or a proxy",
        "Explain a finding by its code or slug, or show what is known about an intermediary: what "
        "it holds, when it cuts a stream, and how to fix that.",
        ExplainArguments,
    ),
    ToolDefinition(
        "lint",
        "Lint proxy configurations",
        "Find lines in configurations of proxies, gateways and applications that hold or cut a "
        "stream, with the edits that fix them. Files are not changed.",
        LintArguments,
    ),
    ToolDefinition(
        "tap",
        "Analyze a packet capture",
        "Find the proxy that holds streams, from a pcap or pcapng file with both of its sides.",
        TapArguments,
    ),
    ToolDefinition(
        "monitor_status",
        "Show the state of monitored targets",
        "Show the last probe, missed objectives and the last confirmed change of each target of "
        "`undam monitor`.",
        MonitorStatusArguments,
    ),
)
"""All tools. `undam bench` and other commands that generate load are not among them."""


def make_server(context: ToolContext, seconds: float) -> Server[Any]:
    """Create the MCP server with its tools.

    Args:
        seconds: time limit of each call; a lower limit of the tool takes precedence.
    """
    running = asyncio.Semaphore(_MAX_RUNNING)
    by_name = {one.name: one for one in TOOLS}

    async def list_tools(_context: Any, _params: Any) -> protocol.ListToolsResult:
        return protocol.ListToolsResult(tools=[one.as_protocol() for one in TOOLS])

    async def call_tool(
        _context: Any, params: protocol.CallToolRequestParams
    ) -> protocol.CallToolResult:
        tool = by_name.get(params.name)
        if tool is None:
            problem = f"there is no such tool; the tools are: {', '.join(by_name)}"
            return _result(ToolResult(problem, None))
        try:
            arguments = tool.arguments.model_validate(params.arguments or {})
        except ValidationError as error:
            return _result(ToolResult(_problems(error), None))
        async with running:
            return _result(await run_tool(arguments, context, seconds))

    return Server(
        "undam",
        version=__version__,
        instructions=_INSTRUCTIONS,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _result(result: ToolResult) -> protocol.CallToolResult:
    return protocol.CallToolResult(
        content=[protocol.TextContent(type="text", text=result.text)],
        structured_content=result.report,
        is_error=result.report is None,
    )


def _problems(error: ValidationError) -> str:
    """Explain why arguments are invalid, without quoting values, which may be secrets."""
    rows = error.errors(include_url=False, include_context=False, include_input=False)
    return "\n".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in rows[:20])


async def serve_stdio(server: Server[Any]) -> None:
    """Serve one client on standard input and output, until standard input ends."""
    # The SDK declares its input as a file, but only iterates over it.
    lines: Any = InputLines(sys.stdin.fileno())
    async with stdio_server(stdin=lines) as (receive, send):
        await server.run(receive, send, server.create_initialization_options())


async def serve_http(
    server: Server[Any], host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Serve clients over Streamable HTTP until the task is cancelled.

    Requests with the Host or Origin of another site are rejected, so that a web page cannot use the
    tools by DNS rebinding.

    Args:
        ready: receives the URL when the server listens.
    """
    import uvicorn  # noqa: PLC0415 (only for this transport)

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.create_server((host, port), family=family)
    address = listening.getsockname()
    names = ["127.0.0.1", "localhost", "[::1]"] if is_loopback(host) else [bracketed(host)]
    hosts = [f"{name}:{address[1]}" for name in names]
    app = server.streamable_http_app(
        streamable_http_path=_PATH,
        transport_security=TransportSecuritySettings(
            allowed_hosts=hosts, allowed_origins=[f"http://{one}" for one in hosts]
        ),
    )
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, timeout_graceful_shutdown=_SHUTDOWN_S
    )
    ready(f"http://{bracketed(address[0])}:{address[1]}{_PATH}")
    await uvicorn.Server(config).serve(sockets=[listening])
