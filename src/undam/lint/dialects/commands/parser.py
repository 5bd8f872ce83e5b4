"""Parsers for command lines in shell scripts, Dockerfiles, systemd units and YAML files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto

from undam.textfiles.edits import Edit, line_ending
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word
from undam.textfiles.tree import Node, walk

_SHELL = re.compile(
    r"""(?P<space>(?:[ \t\r]|\\\r?\n)++)
    | (?P<comment>(?<!\S)\#[^\n]*)
    | (?P<end>\n | ; | && | \|\|? | & | [()])
    | (?P<word>(?:"(?:[^"\\]|\\.)*+" | '[^']*+' | \\. | [^\s"'\\;|&()])++)
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_QUOTES = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|\\(.)", re.DOTALL)
_DOCKER = re.compile(r"^[ \t]*(FROM|ENTRYPOINT|CMD)[ \t]+", re.MULTILINE | re.IGNORECASE)
_JSON_WORD = re.compile(r"\"((?:[^\"\\]|\\.)*+)\"")
# Start commands of systemd and supervisord.
_UNIT = re.compile(r"^(?:ExecStart|command)[ \t]*=[ \t]*[@:+!-]*", re.MULTILINE)
_PROCESS = re.compile(r"^[\w-]+:[ \t]*(?=\S)", re.MULTILINE)
_URL = re.compile(r"https?://[^\s\"'/,;]+")
_FIRST_LINE = re.compile(r"[|>][-+0-9]*[^\n]*\n")
# Keys whose values are command-line words. The words under the keys of a group are joined in order.
_KEYS = (
    ("entrypoint", "command", "args"),
    # Render, Railway and DigitalOcean.
    ("startCommand", "start_command", "dockerCommand", "run_command"),
    ("extraArgs", "extra_args", "extraCommandArgs", "additionalArgs", "vllmArgs", "engineArgs"),
)
_SHELLS = frozenset({"sh", "bash", "ash", "dash", "zsh"})
_SCRIPT_FLAG = re.compile(r"-[a-z]*c")
# A script that starts a shell, which starts a shell, and so on; real ones have two levels.
_MAX_SHELLS = 4


class CommandStyle(Enum):
    """The syntax in which a command line is written."""

    SHELL = auto()
    """Words separated by spaces."""
    FLOW = auto()
    """A list in brackets."""
    BLOCK = auto()
    """A YAML list with one word on each line."""


@dataclass(frozen=True, slots=True)
class Flag:
    """A command-line flag with its value.

    Args:
        span: the span of the flag and its value on the line of the flag.
        value_span: the span of the value alone.
    """

    name: str
    value: str
    span: tuple[int, int]
    value_span: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Command:
    """One command line.

    Args:
        image: the container image that runs it; empty if that is not known.
        names: names under which other services reach it.
        upstreams: URLs in its environment.
        owner: offset of the service or the line that contains the command.
        config: settings in the configuration file that the program reads; flags override them.
            ``None`` if that file is not known.
    """

    words: tuple[Word, ...]
    style: CommandStyle
    owner: int
    image: str = ""
    names: tuple[str, ...] = ()
    upstreams: tuple[str, ...] = ()
    config: Mapping[str, str] | None = None

    def value(self, name: str, *flags: str) -> str | None:
        """Return the value of a flag, or else of the setting in the configuration file."""
        found = self.flag(*flags)
        return (self.config or {}).get(name) if found is None else found.value

    def flag(self, *names: str) -> Flag | None:
        """Return the last flag with one of these names, as ``--name value`` or ``--name=value``."""
        found = None
        for index, word in enumerate(self.words):
            name, equals, value = word.text.partition("=")
            if name not in names:
                continue
            following = self.words[index + 1] if index + 1 < len(self.words) else None
            if equals:
                start = word.start + len(name) + 1 + _quote_width(word)
                span = start, start + len(value)
                found = Flag(name, value, word.span, span)
            elif following is not None and not following.text.startswith("--"):
                found = Flag(name, following.text, word.span, _inner(following))
        return found

    def insert_after(self, source: Source, word: Word, texts: Iterable[str]) -> Edit:
        """Return the edit that inserts words after a given word, in the syntax of the command."""
        match self.style:
            case CommandStyle.SHELL:
                return Edit(word.end, word.end, "".join(f" {text}" for text in texts))
            case CommandStyle.FLOW:
                return Edit(word.end, word.end, "".join(f', "{text}"' for text in texts))
        start, end = source.line_span(word.start)
        before = source.text[start : word.start].rstrip("\"'")
        at = start + len(source.text[start:end].rstrip("\r\n"))
        lines = "".join(f'{line_ending(source)}{before}"{text}"' for text in texts)
        return Edit(at, at, lines)


def _quote_width(word: Word) -> int:
    return (word.end - word.start - len(word.text)) // 2


def _inner(word: Word) -> tuple[int, int]:
    width = _quote_width(word)
    return word.start + width, word.end - width


def commands_in_shell(
    source: Source, start: int = 0, end: int | None = None, depth: int = 0
) -> Iterator[Command]:
    """Yield the commands in a shell script, and those in the scripts that it passes to a shell."""
    stop = len(source.text) if end is None else end
    words: list[Word] = []
    at = start
    while at < stop and (found := _SHELL.match(source.text, at, stop)):
        at = found.end()
        if found.lastgroup == "end" and words:
            yield from _simple_command(source, words, depth)
            words = []
        elif found.lastgroup == "word":
            words.append(Word(_unquoted(found[0]), found.start(), found.end()))
    if words:
        yield from _simple_command(source, words, depth)


def _simple_command(source: Source, words: list[Word], depth: int) -> Iterator[Command]:
    """Yield a command, or else the commands in the script that it passes to a shell."""
    script = _script_of(words)
    if script is not None and source.text[script.start] in "\"'" and depth < _MAX_SHELLS:
        yield from commands_in_shell(source, script.start + 1, script.end - 1, depth + 1)
    else:
        yield Command(tuple(words), CommandStyle.SHELL, words[0].start)


def _script_of(words: list[Word]) -> Word | None:
    """Return the script in ``bash -c SCRIPT``; ``None`` for other commands."""
    for index, word in enumerate(words[:-1]):
        if word.text.rpartition("/")[2] in {*_SHELLS, "su"}:
            rest = words[index + 1 :]
            flags = [one for one in rest[:-1] if _SCRIPT_FLAG.fullmatch(one.text)]
            return rest[rest.index(flags[0]) + 1] if flags else None
    return None


def _unquoted(text: str) -> str:
    return _QUOTES.sub(lambda found: next(one for one in found.groups() if one is not None), text)


def commands_in_dockerfile(source: Source) -> Iterator[Command]:
    """Yield one command per build stage: its last ENTRYPOINT followed by its last CMD."""
    image = ""
    parts: dict[str, list[Command]] = {}
    for found in _DOCKER.finditer(source.text):
        name = found[1].upper()
        if name == "FROM":
            yield from _stage(parts, image)
            parts = {}
            words = [one for one in _docker_words(source, found.end()) if one.words]
            image = next(
                (
                    word.text
                    for one in words
                    for word in one.words
                    if not word.text.startswith("--")
                ),
                "",
            )
        else:
            parts[name] = _docker_words(source, found.end())
    yield from _stage(parts, image)


def _docker_words(source: Source, at: int) -> list[Command]:
    _, end = source.line_span(at)
    while source.text[at:end].rstrip("\r\n").endswith("\\") and end < len(source.text):
        _, end = source.line_span(end)
    if source.text[at : at + 1] == "[":
        words = tuple(
            Word(found[1], found.start(), found.end())
            for found in _JSON_WORD.finditer(source.text, at, end)
        )
        return list(_flattened(source, words, CommandStyle.FLOW, at))
    return list(commands_in_shell(source, at, end))


def _stage(parts: dict[str, list[Command]], image: str) -> Iterator[Command]:
    entry, arguments = parts.get("ENTRYPOINT", []), parts.get("CMD", [])
    if len(entry) == 1 and len(arguments) == 1 and entry[0].style is CommandStyle.FLOW:
        words = (*entry[0].words, *arguments[0].words)
        yield Command(words, CommandStyle.FLOW, entry[0].owner, image)
        return
    for one in entry or arguments:
        yield Command(one.words, one.style, one.owner, image)


def commands_in_unit(source: Source) -> Iterator[Command]:
    """Yield the start commands in a systemd unit or a supervisord configuration."""
    return _commands_after(source, _UNIT)


def commands_in_procfile(source: Source) -> Iterator[Command]:
    """Yield the commands in a Procfile."""
    return _commands_after(source, _PROCESS)


def _commands_after(source: Source, marker: re.Pattern[str]) -> Iterator[Command]:
    """Yield the commands that follow a marker on their line."""
    for found in marker.finditer(source.text):
        end = source.line_span(found.end())[1]
        while source.text[found.end() : end].rstrip("\r\n").endswith("\\") and end < len(
            source.text
        ):
            end = source.line_span(end)[1]
        yield from commands_in_shell(source, found.end(), end)


def commands_in_yaml(source: Source, roots: Iterable[Node]) -> Iterator[Command]:
    """Yield the commands in compose files, Kubernetes manifests and Helm chart values."""
    for root in roots:
        names = tuple(_object_names(root))
        yield from _commands_below(source, root, names, "", 0)


# This limit bounds the recursion; manifests are fewer than 30 levels deep. The YAML reader has its
# own limit.
_MAX_DEPTH = 60


def _commands_below(
    source: Source, node: Node, names: tuple[str, ...], key: str, depth: int
) -> Iterator[Command]:
    if depth > _MAX_DEPTH:
        return
    own = (*_service_names(node, key), *names)
    for keys in _KEYS:
        values = [value for name in keys if (value := node.get(name)) is not None]
        parts = [part for value in values for part in _words_of(source, value)]
        if parts:
            image = node.get("image")
            text = image.text if image is not None and image.kind == "scalar" else ""
            around = tuple(_urls(node))
            for one in _joined(source, parts, node.start):
                yield Command(one.words, one.style, one.owner, text, own, around)
    for entry in node.entries:
        if entry.value.kind != "scalar":
            yield from _commands_below(source, entry.value, names, entry.key.text, depth + 1)
    for item in node.items:
        if item.kind != "scalar":
            yield from _commands_below(source, item, names, key, depth + 1)


def _joined(source: Source, parts: list[Command], owner: int) -> Iterator[Command]:
    """Yield one command from several word lists, or each command of a shell script."""
    if len(parts) > 1 and all(one.style is not CommandStyle.SHELL for one in parts):
        words = tuple(word for one in parts for word in one.words)
        parts = list(_flattened(source, words, parts[-1].style, owner))
    yield from parts


def _urls(node: Node) -> Iterator[str]:
    """Yield the URLs in the environment variables of a compose service or a container."""
    for name in ("environment", "env"):
        found = node.get(name)
        for one in walk(found) if found is not None else ():
            if one.kind == "scalar":
                yield from _URL.findall(one.text)


def _words_of(source: Source, value: Node) -> Iterator[Command]:
    if value.kind == "list":
        words = tuple(
            Word(item.text, item.start, item.end) for item in value.items if item.kind == "scalar"
        )
        style = CommandStyle.FLOW if value.form == "flow" else CommandStyle.BLOCK
        yield from _flattened(source, words, style, value.start)
    elif value.kind == "scalar":
        yield from commands_in_shell(source, *_scalar_span(source, value))


def _scalar_span(source: Source, node: Node) -> tuple[int, int]:
    """Return the span of a scalar's text, without its quotes or block indicator."""
    if node.quoted:
        return node.start + 1, node.end - 1
    first = _FIRST_LINE.match(source.text, node.start)
    return (first.end(), node.end) if first is not None else (node.start, node.end)


def _flattened(
    source: Source, words: tuple[Word, ...], style: CommandStyle, owner: int
) -> Iterator[Command]:
    """Yield the command in a word list, or the commands in the script that it passes to a shell.

    A word such as ``--stream-interval 20``, which a chart splits later, becomes two words.
    """
    is_shell = bool(words) and words[0].text.rpartition("/")[2] in _SHELLS
    if is_shell and len(words) > 2 and words[1].text.startswith("-"):
        last = words[2]
        start, end = _scalar_span_of_word(source, last)
        yield from commands_in_shell(source, start, end)
        return
    split: list[Word] = []
    for word in words:
        if word.text.startswith("-") and " " in word.text:
            start, end = _scalar_span_of_word(source, word)
            split += [one for each in commands_in_shell(source, start, end) for one in each.words]
        else:
            split.append(word)
    if split:
        yield Command(tuple(split), style, owner)


def _scalar_span_of_word(source: Source, word: Word) -> tuple[int, int]:
    first = _FIRST_LINE.match(source.text, word.start)
    if first is not None:
        return first.end(), word.end
    if source.text[word.start] in "\"'":
        return word.start + 1, word.end - 1
    return word.span


def _service_names(node: Node, key: str) -> Iterator[str]:
    """Yield the names of a service or container, and its published ports."""
    if node.get("image", "build", "command", "args") is None:
        return
    if key not in {"", "containers", "initContainers"}:
        yield key
    for name in ("container_name", "hostname", "name"):
        found = node.get(name)
        if found is not None and found.kind == "scalar":
            yield found.text
    ports = node.get("ports")
    for item in ports.items if ports is not None else ():
        text = item.text.partition("/")[0] if item.kind == "scalar" else ""
        outer = text.split(":")[-2:-1]
        if outer and outer[0].isdecimal():
            yield f":{outer[0]}"


def _object_names(root: Node) -> Iterator[str]:
    """Yield the name of a Kubernetes object and the labels by which a Service can select it."""
    metadata = root.get("metadata")
    name = metadata.get("name") if metadata is not None else None
    if name is not None and name.kind == "scalar":
        yield name.text
    labels = metadata.get("labels") if metadata is not None else None
    for key in ("app", "app.kubernetes.io/name"):
        label = labels.get(key) if labels is not None else None
        if label is not None and label.kind == "scalar":
            yield label.text
