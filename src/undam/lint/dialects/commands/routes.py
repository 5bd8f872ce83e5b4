"""Commands that start known servers, with the evidence for streaming."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from undam.lint.dialects.commands.parser import (
    Command,
    commands_in_dockerfile,
    commands_in_procfile,
    commands_in_shell,
    commands_in_unit,
    commands_in_yaml,
)
from undam.lint.dialects.commands.programs import GUNICORN, Program, number_of, program_of
from undam.lint.evidence.assessment import UNKNOWN
from undam.lint.evidence.hop import Hop
from undam.lint.routes import AssessedRoute, Assessment, RouteHints, RouteOutcome, assess_route
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word
from undam.textfiles.tree import Node
from undam.textfiles.yaml_reader import read_yaml

_YAML = (".yaml", ".yml", ".json", ".tpl")
# The application that a server loads, such as `chat.main:app`.
_MODULE = re.compile(r"([A-Za-z_]\w*)(?:\.\w+)*(?::\w+(?:\(\))?|\.[aw]sgi)")
_PROCFILE = re.compile(r"(?:^|/)procfile(?:\.[^/]*)?$")
_CONFIG_NAME = "gunicorn.conf.py"
_DOCKERFILE = re.compile(r"(?:^|[/.])(?:docker|container)file(?:\.[^/]*)?$")


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """A command that starts a known program.

    Args:
        word: the word that names the program; ``None`` if the image does.
        assessed: the command as a route.
    """

    command: Command
    program: Program
    word: Word | None
    assessed: AssessedRoute

    @property
    def span(self) -> tuple[int, int]:
        """The span of the program name, or of the first word if there is no program name."""
        return (self.word or self.command.words[0]).span


def is_yaml(path: str) -> bool:
    """Return whether a file name has a YAML extension."""
    return path.lower().endswith(_YAML)


def read_roots(source: Source) -> tuple[Node, ...]:
    """Parse the documents in a YAML file.

    Raises:
        ConfigSyntaxError: the text is not YAML.
    """
    return read_yaml(source).roots


def find_commands(source: Source, roots: tuple[Node, ...]) -> Iterator[Command]:
    """Yield every command in a file, parsed according to the file type."""
    path = source.path.lower()
    if is_yaml(path):
        yield from commands_in_yaml(source, roots)
    elif _DOCKERFILE.search(path):
        yield from commands_in_dockerfile(source)
    elif path.endswith((".service", ".conf", ".ini")):
        yield from commands_in_unit(source)
    elif _PROCFILE.search(path):
        yield from commands_in_procfile(source)
    else:
        yield from commands_in_shell(source)


def find_servers(
    source: Source, roots: tuple[Node, ...], hints: RouteHints
) -> Iterator[ServerCommand]:
    """Yield the commands that start a known program, whether it streams or not."""
    for one in find_commands(source, roots):
        found = program_of(one)
        if found is not None:
            program, word = found
            config = _config_of(one, hints) if program is GUNICORN else None
            command = replace(one, config=config)
            assessed = _assess(source, command, program, hints)
            yield ServerCommand(command, program, word, assessed)


def _config_of(command: Command, hints: RouteHints) -> Mapping[str, str] | None:
    """Return the settings in the configuration file that gunicorn reads; ``None`` if unknown."""
    flag = command.flag("-c", "--config")
    path = _CONFIG_NAME if flag is None else flag.value.removeprefix("file:")
    return hints.neighbours.gunicorn.get(path.rpartition("/")[2])


def _assess(source: Source, command: Command, program: Program, hints: RouteHints) -> AssessedRoute:
    line, _ = source.position(command.words[0].start)
    names = tuple(dict.fromkeys(command.names))
    name = next((one for one in names if not one.startswith(":")), program.title)
    if program.is_engine:
        reason = f"the command starts {program.title}"
        assessment = Assessment(RouteOutcome.STREAMS, (reason,))
    elif hints.paths:
        assessment = assess_route("/", (), hints)
    else:
        assessment = _assess_server(command, hints)
    route = AssessedRoute(source.path, line, name, "", assessment)
    return replace(route, hop=_hop(source, command, program, route))


def _assess_server(command: Command, hints: RouteHints) -> Assessment:
    """Assess whether a server streams, based on its names, its application and nearby files."""
    if hints.neighbours.programs:
        program = hints.neighbours.programs[0]
        return Assessment(RouteOutcome.STREAMS, (f"{program} beside the file streams",))
    modules = [found[1] for word in command.words if (found := _MODULE.fullmatch(word.text))]
    names = (*command.names, command.image, *modules, *command.upstreams)
    upstreams = [one for one in names if one and one[0] != ":"]
    return assess_route("/", upstreams, hints) if upstreams else UNKNOWN


def _folder(path: str) -> tuple[str, ...]:
    """Return the name of a Dockerfile's folder, which is usually the name of the service."""
    parts = path.replace("\\", "/").split("/")
    return (parts[-2],) if len(parts) > 1 and _DOCKERFILE.search(path.lower()) else ()


def _hop(source: Source, command: Command, program: Program, route: AssessedRoute) -> Hop | None:
    if not route.assessment.is_considered:
        return None
    heartbeat, _ = program.heartbeat_of(command)
    flag = command.flag("--port", "-p", "--http-socket", "--bind", "-b")
    port = number_of(flag.value.rpartition(":")[2]) if flag is not None else program.port
    names = (*command.names, *_folder(route.path), *((f":{port:g}",) if port else ()))
    hop = Hop(
        program.tier,
        program.title,
        route.path,
        route.line,
        tuple(dict.fromkeys(names)),
        tuple(dict.fromkeys(command.upstreams)),
        idle_limit_s=math.inf,
        total_limit_s=math.inf,
        heartbeat_s=heartbeat,
    )
    limit = total_limit_of(command, program)
    if limit is None:
        return hop
    at = None if limit.span is None else (source.path, source.position(limit.span[0])[0])
    return replace(hop, total_limit_s=limit.seconds or math.inf, total_at=at)


@dataclass(frozen=True, slots=True)
class ServerLimit:
    """A server's limit on the duration of a response.

    Args:
        span: the flag that sets it; ``None`` if it is the default.
        value_span: the value of the flag.
    """

    seconds: float
    name: str
    span: tuple[int, int] | None = None
    value_span: tuple[int, int] | None = None


_SYNC_DEFAULT_S = 30.0


def total_limit_of(command: Command, program: Program) -> ServerLimit | None:
    """Return the server's limit on the whole response; ``None`` if there is no limit.

    Gunicorn applies it only in sync workers, whose only thread is busy during a stream.
    """
    if program is GUNICORN:
        if not is_sync(command):
            return None
        seconds = number_of((command.config or {}).get("timeout", ""))
        return _limit(command, ("-t", "--timeout"), _SYNC_DEFAULT_S if seconds is None else seconds)
    if program.words == ("uwsgi",):
        return _limit(command, ("--harakiri", "-t"), None)
    return None


def is_sync(command: Command) -> bool:
    """Return whether the command makes gunicorn use sync workers.

    With more than one thread, the sync class becomes gthread.
    """
    worker = command.value("worker_class", "-k", "--worker-class")
    threads = command.value("threads", "--threads")
    if worker not in {None, "sync"}:
        return False
    count = number_of(threads) if threads is not None else 1.0
    return count is not None and count <= 1


def _limit(command: Command, names: tuple[str, ...], default_s: float | None) -> ServerLimit | None:
    flag = command.flag(*names)
    if flag is None:
        return None if default_s is None else ServerLimit(default_s, names[-1])
    seconds = number_of(flag.value)
    return None if seconds is None else ServerLimit(seconds, flag.name, flag.span, flag.value_span)
