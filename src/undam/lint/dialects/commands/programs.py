"""Programs with known flags: inference engines and application servers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from undam.lint.dialects.commands.parser import Command, Flag
from undam.lint.evidence.hop import Tier
from undam.lint.evidence.neighbours import profile_of_image
from undam.textfiles.tokens import Word

# The program name is among the first words, possibly after `exec`, `uv run`, `python -m` or
# assignments.
_FIRST_WORDS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A server program that can stream.

    Args:
        words: names of its executable, and of its module for ``python -m``.
        profile: name of the profile of its container image; empty if it has none.
        heartbeat_flags: flags that set the interval of its heartbeats, in seconds.
        heartbeat_s: the interval without such a flag; ``None`` if it then sends none.
        port: the port without a flag.
    """

    title: str
    tier: Tier
    words: tuple[str, ...]
    profile: str = ""
    heartbeat_flags: tuple[str, ...] = ()
    heartbeat_s: float | None = None
    port: int | None = None

    @property
    def is_engine(self) -> bool:
        return self.tier is Tier.ENGINE

    def heartbeat_of(self, command: Command) -> tuple[float | None, Flag | None]:
        """Return the heartbeat interval that a command sets, and the flag that sets it."""
        flag = command.flag(*self.heartbeat_flags) if self.heartbeat_flags else None
        if flag is None:
            return self.heartbeat_s, None
        seconds = number_of(flag.value)
        return (seconds if seconds is not None and seconds > 0 else None), flag


VLLM = Program(
    title="vLLM",
    tier=Tier.ENGINE,
    words=("vllm", "vllm.entrypoints.openai.api_server", "vllm.entrypoints.api_server"),
    profile="vllm",
    heartbeat_flags=("--sse-keep-alive-interval",),
    port=8000,
)
SGLANG = Program(
    title="SGLang",
    tier=Tier.ENGINE,
    words=("sglang.launch_server", "sglang"),
    profile="sglang",
    port=30000,
)
LLAMA_CPP = Program(
    title="llama.cpp",
    tier=Tier.ENGINE,
    words=("llama-server", "llama.cpp-server"),
    profile="llama-cpp",
    heartbeat_flags=("--sse-ping-interval",),
    heartbeat_s=30.0,
    port=8080,
)
TENSORRT_LLM = Program(title="TensorRT-LLM", tier=Tier.ENGINE, words=("trtllm-serve",), port=8000)
OLLAMA = Program(title="Ollama", tier=Tier.ENGINE, words=("ollama",), profile="ollama", port=11434)
UNKNOWN_ENGINE = Program(title="engine", tier=Tier.ENGINE, words=())
GUNICORN = Program(title="Gunicorn", tier=Tier.APP, words=("gunicorn",), port=8000)
UVICORN = Program(title="Uvicorn", tier=Tier.APP, words=("uvicorn",), port=8000)
HYPERCORN = Program(title="Hypercorn", tier=Tier.APP, words=("hypercorn",), port=8000)
DAPHNE = Program(title="Daphne", tier=Tier.APP, words=("daphne",), port=8000)
UWSGI = Program(title="uWSGI", tier=Tier.APP, words=("uwsgi",))

PROGRAMS = (
    VLLM, SGLANG, LLAMA_CPP, TENSORRT_LLM, OLLAMA, GUNICORN, UVICORN, HYPERCORN, DAPHNE, UWSGI,
)  # fmt: skip
_BY_WORD = {word: one for one in PROGRAMS for word in one.words}
_BY_PROFILE = {one.profile: one for one in PROGRAMS if one.profile}
_ENGINE_FLAGS = ("--stream-interval", "--sse-keep-alive-interval", "--sse-ping-interval")
# Commands whose arguments may name a program without starting it, and words with that effect.
_NO_START = frozenset({
    "pip", "pip3", "pipx", "apt", "apt-get", "apk", "dnf", "yum", "brew", "npm", "pnpm", "yarn",
    "which", "type", "hash", "command", "pkill", "pgrep", "killall", "kill", "pidof", "echo",
    "printf", "logger", "systemctl", "service", "supervisorctl", "journalctl", "rc-service",
    "cd", "cp", "mv", "rm", "ls", "ln", "cat", "tail", "head", "grep", "sed", "mkdir", "chmod",
    "chown", "touch", "find", "tar", "curl", "wget", "git", "test", "[", "[[", "export", "set",
    "unset", "alias", "source", ".", "man", "ps", "for", "case", "useradd", "adduser", "usermod",
})  # fmt: skip
# Shell keywords and launchers that are followed by another command.
_PREFIXES = frozenset({
    "if", "then", "else", "elif", "while", "until", "do", "!", "{", "exec", "time", "sudo", "env",
    "nohup",
})  # fmt: skip
_CHANGES = frozenset({"install", "uninstall", "add", "remove", "upgrade", "update", "pip"})
# Flags that may stand between a launcher and the program: those of Python and of process
# managers have one or two letters, those of `uv run` and `poetry run` have no value.
_LAUNCHER_FLAG = re.compile(
    r"-[A-Za-z]{1,2}|--|--no-[\w-]+|--(?:frozen|locked|active|isolated|offline|all-extras|quiet)"
)
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_SCRIPT = re.compile(r".*\.(?:py|sh|bash|js|ts)")


def program_of(command: Command) -> tuple[Program, Word | None] | None:
    """Return the program that a command starts, and the word that names it.

    If a command has only flags, the program is that of the image, or the engine of a chart.
    """
    for word in _leading(command.words):
        program = _BY_WORD.get(word.text.rpartition("/")[2])
        if program is not None:
            return program, word
    profile = profile_of_image(command.image) if command.image else None
    if profile is not None and profile.name in _BY_PROFILE:
        return _BY_PROFILE[profile.name], None
    return (UNKNOWN_ENGINE, None) if command.flag(*_ENGINE_FLAGS) is not None else None


def _leading(words: Sequence[Word]) -> Iterator[Word]:
    """Yield the words that may name the started program: those before its own flags."""
    is_first = True
    for word in words[:_FIRST_WORDS]:
        text = word.text
        if text.startswith("-") and not _LAUNCHER_FLAG.fullmatch(text):
            return
        if text in _CHANGES or (is_first and text.rpartition("/")[2] in _NO_START):
            return
        yield word
        if _SCRIPT.fullmatch(text):
            return
        is_prefix = text in _PREFIXES or _ASSIGNMENT.match(text) is not None
        is_first = is_first and is_prefix


def number_of(text: str) -> float | None:
    """Parse a number of seconds; ``None`` if the text is not a number, such as a variable."""
    bare = text.strip("\"' ")
    negative = bare.startswith("-")
    digits = bare.removeprefix("-")
    is_number = digits.replace(".", "", 1).isdecimal() and digits.isascii() and len(digits) < 12
    return (-float(digits) if negative else float(digits)) if is_number else None
