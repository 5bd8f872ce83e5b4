"""Monitor state in an SQLite database: probes and changes, with limited retention."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from undam.monitor.probe_result import HopState, ProbeResult, ProbeSummary

_T = TypeVar("_T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS probes (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, at_s REAL NOT NULL, verdict TEXT NOT NULL,
  complete INTEGER NOT NULL, ttft_ms REAL, hold_ms REAL, events INTEGER NOT NULL,
  body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS probe_summaries ON probes (
  target, at_s, verdict, complete, ttft_ms, hold_ms, events);
CREATE TABLE IF NOT EXISTS arrivals (target TEXT PRIMARY KEY, times_ms TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS changes (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, at_s REAL NOT NULL, text TEXT NOT NULL,
  before TEXT NOT NULL, after TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS changes_by_target ON changes (target, at_s);
CREATE INDEX IF NOT EXISTS changes_by_time ON changes (at_s);
CREATE TABLE IF NOT EXISTS states (target TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
_OLD_PROBES = """DELETE FROM probes WHERE target = ? AND at_s < MAX(?, COALESCE((
  SELECT at_s FROM probes WHERE target = ? ORDER BY at_s DESC LIMIT 1 OFFSET ?), 0))"""
_OLD_CHANGES = """DELETE FROM changes WHERE id <= (
  SELECT id FROM changes ORDER BY id DESC LIMIT 1 OFFSET ?)"""
_NEW_PROBE = """INSERT INTO probes (
  target, at_s, verdict, complete, ttft_ms, hold_ms, events, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
_NEW_STATE = "INSERT OR REPLACE INTO states VALUES (?, ?)"
_DAY_S = 86_400
_MAX_PROBES_PER_TARGET = 20_000
_MAX_CHANGES = 10_000
# Number of new probes of a target after which old ones are removed. Each removal scans an index.
_PRUNE_EVERY = 64
_MAX_ARRIVALS = 2000
# Primary result codes of SQLite that indicate a damaged file.
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


@dataclass(frozen=True, slots=True)
class StateChange:
    """A confirmed change of a target.

    Args:
        text: what changed, as sentences.
        before, after: the probes that show it.
    """

    target: str
    at_s: float
    text: str
    before: ProbeResult
    after: ProbeResult


class Store:
    """Probes, changes, and the last confirmed state of each target.

    A database that is damaged is renamed and replaced by a new one. If the disk is full, writing
    fails and monitoring continues; `fault` has the reason until a write succeeds.

    Args:
        is_reader: the database must exist, and is neither repaired nor created. Another process may
            use it at the same time.

    Attributes:
        set_aside: path to which a damaged database was renamed; ``None`` if it was not damaged.
        fault: why the last write failed; ``None`` if it succeeded.
    """

    def __init__(self, path: str, retention_days: float, *, is_reader: bool = False) -> None:
        self._path = path
        self._is_reader = is_reader
        self._retention_s = retention_days * _DAY_S
        self._written: dict[str, int] = {}
        self.set_aside: str | None = None
        self.fault: str | None = None
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError as error:
            if is_reader or _is_environmental(error):
                raise
            self._start_anew()

    def _open(self) -> sqlite3.Connection:
        if self._is_reader:
            place = f"{Path(self._path).absolute().as_uri()}?mode=rw"
            return sqlite3.connect(place, uri=True, timeout=5, isolation_level=None)
        connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            # With WAL, killing the process loses no committed probe, and writers do not block
            # readers.
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.executescript(_SCHEMA)
            (result,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if result != "ok":
                raise sqlite3.DatabaseError(result)
        except BaseException:
            connection.close()
            raise
        return connection

    def _start_anew(self) -> None:
        """Rename the damaged database and create a new one."""
        self.set_aside = f"{self._path}.broken-{time.time_ns() // 1_000_000}"
        Path(self._path).rename(self.set_aside)
        for suffix in ("-wal", "-shm"):
            Path(self._path + suffix).unlink(missing_ok=True)
        self._connection = self._open()

    def add_probe(self, result: ProbeResult) -> None:
        """Store a probe; from time to time, remove probes that exceed the retention period."""
        name = result.target
        row = (name, result.at_s, result.verdict, result.is_complete, result.ttft_ms,
               result.hold_ms, result.events, _encode(result))  # fmt: skip
        statements: list[tuple[str, Sequence[Any]]] = [(_NEW_PROBE, row)]
        if result.arrivals_ms:
            times = json.dumps([round(one, 1) for one in result.arrivals_ms[:_MAX_ARRIVALS]])
            statements.append(("INSERT OR REPLACE INTO arrivals VALUES (?, ?)", (name, times)))
        self._written[name] = self._written.get(name, 0) + 1
        if self._written[name] % _PRUNE_EVERY == 1:
            oldest_s = result.at_s - self._retention_s
            statements.append((_OLD_PROBES, (name, oldest_s, name, _MAX_PROBES_PER_TARGET)))
        self._write(*statements)

    def add_change(self, change: StateChange) -> None:
        """Store a change, together with the new state of the target."""
        row = (
            change.target,
            change.at_s,
            change.text,
            _encode(change.before),
            _encode(change.after),
        )
        self._write(
            ("INSERT INTO changes (target, at_s, text, before, after) VALUES (?, ?, ?, ?, ?)", row),
            (_OLD_CHANGES, (_MAX_CHANGES,)),
            (_NEW_STATE, (change.target, _encode(change.after))),
        )

    def set_state(self, result: ProbeResult) -> None:
        """Store the confirmed state of a target."""
        self._write((_NEW_STATE, (result.target, _encode(result))))

    def state(self, target: str) -> ProbeResult | None:
        """Return the confirmed state of a target."""
        row = self._read("SELECT body FROM states WHERE target = ?", (target,))
        return _decode(row[0][0]) if row else None

    def probes(self, target: str, since_s: float, limit: int) -> list[ProbeResult]:
        """Return a target's newest probes since a Unix time, oldest first."""
        rows = self._read(
            "SELECT body FROM probes WHERE target = ? AND at_s >= ?"
            " ORDER BY at_s DESC, id DESC LIMIT ?",
            (target, since_s, limit),
        )
        return [_decode(row[0]) for row in reversed(rows)]

    def summaries(self, target: str, since_s: float) -> list[ProbeSummary]:
        """Return summaries of a target's probes since a Unix time, oldest first."""
        rows = self._read(
            "SELECT at_s, verdict, complete, ttft_ms, hold_ms FROM probes"
            " WHERE target = ? AND at_s >= ? ORDER BY at_s, id",
            (target, since_s),
        )
        return list(map(ProbeSummary._make, rows))

    def arrivals_ms(self, target: str) -> list[float]:
        """Return the times of the content events in the last stream of a target."""
        rows = self._read("SELECT times_ms FROM arrivals WHERE target = ?", (target,))
        return list(json.loads(rows[0][0])) if rows else []

    def spending(self, target: str, since_s: float) -> list[tuple[float, int]]:
        """Return the time and the number of events for each probe since a Unix time."""
        return self._read(
            "SELECT at_s, events FROM probes WHERE target = ? AND at_s >= ? ORDER BY at_s",
            (target, since_s),
        )

    def changes(self, target: str | None = None, limit: int = 100) -> list[StateChange]:
        """Return the most recent changes, the newest first."""
        where, values = ("WHERE target = ? ", (target,)) if target is not None else ("", ())
        rows = self._read(
            f"SELECT target, at_s, text, before, after FROM changes {where}"  # noqa: S608 (constant)
            "ORDER BY at_s DESC, id DESC LIMIT ?",
            (*values, limit),
        )
        return [
            StateChange(name, at_s, text, _decode(before), _decode(after))
            for name, at_s, text, before, after in rows
        ]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _write(self, *statements: tuple[str, Sequence[Any]]) -> None:
        try:
            self._repaired(lambda: self._transact(statements))
        except (sqlite3.Error, OSError) as error:
            self.fault = str(error)
        else:
            self.fault = None

    def _transact(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for text, values in statements:
                self._connection.execute(text, values)
            self._connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _read(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._repaired(lambda: self._connection.execute(text, values).fetchall())

    def _repaired(self, action: Callable[[], _T]) -> _T:
        """Return the result of an action; if the database is damaged, retry with a new one."""
        try:
            return action()
        except sqlite3.DatabaseError as error:
            is_damaged = getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
            if self._is_reader or not is_damaged:
                raise
            self._connection.close()
            self._start_anew()
            return action()


def _is_environmental(error: sqlite3.DatabaseError) -> bool:
    """Return whether the folder, a lock or the disk caused the error, not damaged content."""
    codes = {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED,
             sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR,
             sqlite3.SQLITE_PERM}  # fmt: skip
    return getattr(error, "sqlite_errorcode", -1) & 0xFF in codes


def _encode(result: ProbeResult) -> str:
    # Arrival times take much space, so they are stored only for the last probe, in a separate
    # table.
    row = asdict(replace(result, arrivals_ms=()))
    return json.dumps(row, separators=(",", ":"))


def _decode(text: str) -> ProbeResult:
    row = {name: _as_tuple(value) for name, value in json.loads(text).items()}
    hops = tuple(
        HopState(**{name: _as_tuple(value) for name, value in hop.items()}) for hop in row["hops"]
    )
    return ProbeResult(**{**row, "hops": hops})


def _as_tuple(value: Any) -> Any:
    """Return a JSON list as a tuple; inner lists also become tuples."""
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
