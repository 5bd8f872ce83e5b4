"""Configuration of `undam monitor`, read from a TOML file."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from undam.client.chat_request import endpoint
from undam.errors import UsageError
from undam.monitor.objectives import Objective, parse_objective
from undam.probe import DEFAULT_PROMPT, CheckOptions, Place
from undam.probe.curl.command import CurlCommand, parse_curl
from undam.wire import ClientConfig, parse_resolve, parse_url
from undam.wire.config import HttpVersion

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MAX_TARGETS = 1000
_MAX_FILE_BYTES = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TARGET_KEYS = {
    "name", "url", "hops", "interval", "headers", "model", "prompt", "data", "method", "beacon",
    "expect", "objectives", "timeout", "probes_per_hour", "probes_per_day", "tokens_per_day",
    "insecure", "cacert", "curl", "idle", "cancel", "trials_interval",
}  # fmt: skip
_MONITOR_KEYS = {"state", "retention_days", "concurrency", "webhook", "slack_webhook"}


@dataclass(frozen=True, slots=True)
class MonitorTarget:
    """One endpoint to probe.

    Args:
        interval_s: time between two probes. Each probe is shifted at random by up to a tenth of it.
        expect: the verdict that counts as success.
        probes_per_hour, probes_per_day, tokens_per_day: budgets that are never exceeded; 0 means
            no limit.
        idle_s: longest silence to try; ``None`` to try none.
        cancel: whether to measure when a disconnect reaches the origin.
        trials_interval_s: time between two trials of silence and disconnects.
    """

    name: str
    options: CheckOptions = field(repr=False)
    interval_s: float = 300.0
    expect: str = "streaming"
    objectives: tuple[Objective, ...] = ()
    probes_per_hour: int = 0
    probes_per_day: int = 0
    tokens_per_day: int = 0
    idle_s: float | None = None
    cancel: bool = False
    trials_interval_s: float = 86_400.0

    @property
    def has_budget(self) -> bool:
        """Return whether the number of probes or tokens is limited."""
        return bool(self.probes_per_hour or self.probes_per_day or self.tokens_per_day)

    @property
    def has_trials(self) -> bool:
        """Return whether probes also test long idle periods or client disconnects."""
        return self.idle_s is not None or self.cancel


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """All settings of `undam monitor`.

    Args:
        state: path of the SQLite database.
        concurrency: maximum number of probes at the same time.
        webhook: URL that receives each change as JSON.
        slack_webhook: URL of an incoming webhook of Slack.
    """

    targets: tuple[MonitorTarget, ...]
    state: str = "undam-monitor.db"
    retention_days: float = 30.0
    concurrency: int = 16
    webhook: str | None = field(default=None, repr=False)
    slack_webhook: str | None = field(default=None, repr=False)


def read_settings(path: str, environ: Mapping[str, str] = os.environ) -> MonitorSettings:
    """Read and validate a configuration file.

    ``${NAME}`` in a string is replaced by the environment variable, so that keys need not be in
    the file.

    Raises:
        UsageError: the file cannot be read, or a value is invalid. The message names the place.
    """
    try:
        # Editors on Windows begin a UTF-8 file with a byte order mark.
        text = Path(path).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UsageError(
            f"cannot read {path}: the file does not exist; a file with these three lines is enough:"
            f' [[target]], name = "chat", url = "https://HOST/v1/chat/completions"'
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise UsageError(f"cannot read {path}: {reason}") from None
    return parse_settings(text, path, environ)


def parse_settings(text: str, path: str, environ: Mapping[str, str]) -> MonitorSettings:
    """Parse the text of a configuration file; see `read_settings`."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: {error}") from None
    table = _TomlTable(document.pop("monitor", {}), f"{path}: [monitor]", environ)
    rows = document.pop("target", [])
    if document:
        raise UsageError(
            f"{path}: unknown table {next(iter(document))!r}; use [monitor] and [[target]]"
        )
    if not isinstance(rows, list) or not rows:
        raise UsageError(f"{path}: no target; add a table [[target]] with name and url")
    if len(rows) > _MAX_TARGETS:
        raise UsageError(f"{path}: {len(rows)} targets; at most {_MAX_TARGETS} are supported")
    table.require_known(_MONITOR_KEYS)
    targets = tuple(_target(row, number, path, environ) for number, row in enumerate(rows, 1))
    names = [one.name for one in targets]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: two targets have the name {name!r}")
    return MonitorSettings(
        targets,
        table.text("state", "undam-monitor.db") or "",
        table.number("retention_days", 30.0, 0.01, 3650),
        int(table.number("concurrency", 16, 1, 100)),
        _webhook(table, "webhook"),
        _webhook(table, "slack_webhook"),
    )


def _webhook(table: _TomlTable, key: str) -> str | None:
    """Return the URL of a webhook. Errors do not quote it, because its path is usually a secret."""
    url = table.text(key)
    if url is not None and not url.startswith(("http://", "https://")):
        raise UsageError(f"{table.where}: {key} must be an http:// or https:// URL")
    return url


def _target(row: object, number: int, path: str, environ: Mapping[str, str]) -> MonitorTarget:
    where = f"{path}: target {number}"
    if not isinstance(row, dict):
        raise UsageError(f"{where}: must be a table [[target]]")
    table = _TomlTable(row, where, environ)
    name = table.text("name")
    if name is None or _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{where}: name must have 1 to 64 letters, digits, dots, hyphens or underscores"
        )
    table.where = f"{path}: target {name!r}"
    table.require_known(_TARGET_KEYS)
    curl = _curl(table, Path(path).parent, environ)
    url = table.text("url") or (None if curl is None else curl.url)
    if url is None:
        raise UsageError(f"{table.where}: url is missing; set url, or curl with a URL in it")
    expect = table.text("expect") or "streaming"
    objectives = [_objective(table, "expect", f"verdict={expect}")]
    objectives += [_objective(table, "objectives", one) for one in table.texts("objectives")]
    idle_s = table.number("idle", 0.0, 0.5, 3600) if table.has("idle") else None
    target = MonitorTarget(
        name,
        _options(table, url, curl or CurlCommand(url=url), environ),
        table.number("interval", 300.0, 1, 86400),
        expect,
        tuple(objectives),
        int(table.number("probes_per_hour", 0, 0, 3600)),
        int(table.number("probes_per_day", 0, 0, 86400)),
        int(table.number("tokens_per_day", 0, 0, 10**9)),
        idle_s,
        table.flag("cancel"),
        table.number("trials_interval", 86_400.0, 60, 30 * 86_400),
    )
    if target.has_trials and not target.options.beacon:
        raise UsageError(f"{table.where}: idle and cancel need beacon = true")
    holds = next((one.text for one in objectives if one.name == "hold"), None)
    if holds is not None and len(target.options.places) == 1 and not target.options.beacon:
        raise UsageError(f"{table.where}: objectives: {holds!r} needs hops, or beacon = true")
    return target


def _objective(table: _TomlTable, key: str, text: str) -> Objective:
    try:
        return parse_objective(text)
    except UsageError as error:
        raise UsageError(f"{table.where}: {key}: {error}") from None


def _options(
    table: _TomlTable, url: str, curl: CurlCommand, environ: Mapping[str, str]
) -> CheckOptions:
    """Return the options for a check; keys in the table override values in the curl command."""
    headers = table.mapping("headers")
    given = {one.lower() for one in headers}
    kept = [line for line in curl.headers if line[0].lower() not in given]
    method = table.text("method") or curl.method
    as_given = table.has("curl") or (method or "").upper() == "GET"
    hops = [Place("edge", _url(table, "url", url, as_given=as_given))]
    for name, one in table.mapping("hops").items():
        hops.append(Place(name, _url(table, f"hops.{name}", one, as_given=False)))
    if len({one.name for one in hops}) < len(hops):
        raise UsageError(f"{table.where}: hops: the URL itself has the name 'edge'")
    data = table.text("data")
    version: HttpVersion = "2" if curl.http_version == "2" else "1.1"
    client = ClientConfig(
        timeout_s=table.number("timeout", 120.0, 0.1, 86400),
        insecure=table.flag("insecure") or curl.insecure,
        cacert=_certificates(table) or curl.cacert,
        cert=curl.cert,
        proxy=curl.proxy,
        resolve=tuple(parse_resolve(one) for one in curl.resolve),
        http_version="auto" if curl.http_version is None else version,
    )
    return CheckOptions(
        places=tuple(hops),
        model=table.text("model"),
        prompt=table.text("prompt") or DEFAULT_PROMPT,
        headers=(*headers.items(), *kept),
        data=curl.data if data is None else data.encode(),
        method=method,
        beacon=table.flag("beacon"),
        experiments=False,
        environ=dict(environ),
        client=client,
    )


def _certificates(table: _TomlTable) -> str | None:
    path = table.text("cacert")
    if path is not None and not Path(path).is_file():
        raise UsageError(f"{table.where}: cacert: there is no file {path}")
    return path


def _url(table: _TomlTable, key: str, url: str, *, as_given: bool) -> str:
    """Return a URL that can be requested; a base URL means its chat endpoint."""
    try:
        parse_url(url)
        return url if as_given else endpoint(url)
    except UsageError as error:
        raise UsageError(f"{table.where}: {key}: {error}") from None


def _curl(table: _TomlTable, folder: Path, environ: Mapping[str, str]) -> CurlCommand | None:
    """Return a target's curl command; file names are relative to the configuration file."""
    text = table.text("curl")
    if text is None:
        return None

    def read_file(name: str) -> bytes:
        try:
            with (folder / name).open("rb") as file:
                return file.read(_MAX_FILE_BYTES)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UsageError(f"{table.where}: curl: cannot read {name}: {reason}") from None

    if text.startswith("@"):
        text = read_file(text[1:]).decode("utf-8", "replace")
    try:
        return parse_curl(text, environ=environ, read_file=read_file)
    except UsageError as error:
        raise UsageError(f"{table.where}: {str(error).replace('--curl', 'curl', 1)}") from None


class _TomlTable:
    """Values in one TOML table. Error messages contain the name of the table."""

    def __init__(self, values: Any, where: str, environ: Mapping[str, str]) -> None:
        if not isinstance(values, dict):
            raise UsageError(f"{where}: must be a table")
        self._values = values
        self._environ = environ
        self.where = where

    def has(self, key: str) -> bool:
        """Return whether the table has a key."""
        return key in self._values

    def require_known(self, names: set[str]) -> None:
        """Raise UsageError for a key that is not one of ``names``."""
        for key in self._values:
            if key not in names:
                raise UsageError(
                    f"{self.where}: unknown key {key!r}; known: {', '.join(sorted(names))}"
                )

    def text(self, key: str, default: str | None = None) -> str | None:
        """Return a string in which variables are replaced."""
        value = self._values.get(key, default)
        if value is None:
            return None
        if not isinstance(value, str):
            raise UsageError(f"{self.where}: {key} must be a string")
        return self._expanded(key, value)

    def _expanded(self, key: str, value: str) -> str:
        def variable(found: re.Match[str]) -> str:
            if found[1] not in self._environ:
                raise UsageError(f"{self.where}: {key}: the variable {found[1]} is not set")
            return self._environ[found[1]]

        return _VARIABLE.sub(variable, value)

    def texts(self, key: str) -> Sequence[str]:
        """Return a list of strings."""
        value = self._values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise UsageError(f"{self.where}: {key} must be a list of strings")
        return value

    def mapping(self, key: str) -> dict[str, str]:
        """Return a table of strings."""
        value = self._values.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise UsageError(f"{self.where}: {key} must be a table of strings")
        found = {name: self._expanded(f"{key}.{name}", one) for name, one in value.items()}
        for name, one in found.items():
            if not (name + one).isprintable():
                raise UsageError(f"{self.where}: {key}.{name!a} contains a control character")
        return found

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """Return a number within the given bounds."""
        value = self._values.get(key, default)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise UsageError(f"{self.where}: {key} must be a number from {low:g} to {high:g}")
        return float(value)

    def flag(self, key: str) -> bool:
        """Return a boolean; the default is false."""
        value = self._values.get(key, False)
        if not isinstance(value, bool):
            raise UsageError(f"{self.where}: {key} must be true or false")
        return value
