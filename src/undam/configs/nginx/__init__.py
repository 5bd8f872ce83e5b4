"""nginx: nginx.conf, with what it includes, and parts of it."""

from __future__ import annotations

from undam.configs.dialect import Dialect, Linted, OpenFile
from undam.configs.mistake import Mistake
from undam.configs.nginx.recognise import is_nginx
from undam.configs.nginx.render import render_nginx
from undam.configs.nginx.routes import find_routes
from undam.configs.nginx.rules import FINDERS, RULES
from undam.configs.nginx.scopes import read_configuration
from undam.configs.routes import Streams
from undam.configs.settings import Settings
from undam.configs.source import Source

__all__ = ["DIALECT", "lint_nginx"]


def lint_nginx(source: Source, settings: Settings, open_file: OpenFile) -> Linted:
    """What is wrong with the routes that stream; nothing is said of others.

    Raises:
        ConfigSyntaxError: the file, or one that it includes, cannot be read.
    """
    configuration = read_configuration(source, open_file)
    # A file that is included twice is told of once; its settings may differ by place, so the first
    # that a rule finds stands for all.
    found: dict[tuple[str, str, int, int], Mistake] = {}
    for route in find_routes(configuration, settings.hints):
        if route.streams is not Streams.NO:
            for find in FINDERS:
                for one in find(route, settings):
                    found.setdefault((one.rule.code, one.path, one.line, one.column), one)
    return Linted(tuple(found.values()), configuration.unread, configuration.included)


DIALECT = Dialect(
    name="nginx",
    title="nginx",
    rules=RULES,
    recognises=is_nginx,
    lint=lint_nginx,
    render=render_nginx,
    check_command="nginx -t -c FILE",
)
