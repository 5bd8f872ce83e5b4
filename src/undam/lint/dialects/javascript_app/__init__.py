"""The JavaScript dialect: JavaScript and TypeScript programs that serve, relay or read streams.

Express, Koa, Fastify, Next.js, http-proxy-middleware, development servers, and readers in browsers.
A program is parsed with tree-sitter (extra ``javascript``) and never executed.
"""

from __future__ import annotations

import re

from undam.lint.diagnostics import unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.javascript_app.parser import parse_script
from undam.lint.dialects.javascript_app.render import render
from undam.lint.dialects.javascript_app.routes import find_routes
from undam.lint.dialects.javascript_app.rules import RULES, find
from undam.lint.evidence.program_facts import with_facts
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_SUFFIXES = (".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx", ".mts", ".cts")
_WORDS = (
    "event-stream", "EventSource(", "createProxyMiddleware", "responseInterceptor", "TextDecoder",
    "DataStreamResponse", "UIMessageStreamResponse", "streamSSE", "'compression'", '"compression"',
    "koa-compress", "fastify/compress", "stream: true",
)  # fmt: skip
# Each pair of keywords identifies a configuration file for Next.js, webpack or Vite.
_CONFIG_WORDS = (("rewrites", "destination"), ("devServer", "proxy"), ("defineConfig", "proxy"))
_COMPRESSING = frozenset({"JSA101", "JSA103", "JSA105"})
_BUFFERING = frozenset({"JSA102"})
# Tests may contain faulty programs on purpose. Declaration files and bundles are generated.
_SKIPPED_NAME = re.compile(r"\.(?:test|spec|stories)\.[cm]?[jt]sx?$|\.d\.[cm]?ts$|\.min\.[cm]?js$")
_BUNDLE_CHARS = 20_000
_BUNDLE_LINE_CHARS = 500


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a streaming JavaScript program or a proxy configuration."""
    name = path.replace("\\", "/").lower()
    if not name.endswith(_SUFFIXES) or _SKIPPED_NAME.search(name):
        return False
    is_config = any(all(word in text for word in words) for words in _CONFIG_WORDS)
    if not is_config and not has_any(text, *_WORDS):
        return False
    return len(text) < _BUNDLE_CHARS or len(text) / (text.count("\n") + 1) < _BUNDLE_LINE_CHARS


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streams in a JavaScript or TypeScript program.

    Raises:
        MissingExtra: tree-sitter is not installed.
    """
    script = parse_script(source)
    routes = find_routes(script, settings.hints_for(source.path))
    considered = [one for one in routes if one.assessed.assessment.is_considered]
    found = list(find(script, considered, settings))
    return LintResult(
        unique_diagnostics(found),
        routes=tuple(
            with_facts(one.assessed, found, compressing=_COMPRESSING, buffering=_BUFFERING)
            for one in routes
        ),
    )


DIALECT = Dialect(
    name="javascript-app",
    title="JavaScript program",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    comment="//",
    reads_programs=True,
)
