"""State in an SQLite database: probes and changes, with bounded retention."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from undam.monitor.probe_result import HopState, ProbeResult

_SCHEMA = """
CREATE TABLE IF NOT EXISTS probes (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, at_s REAL NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS probes_by_target ON probes (target, at_s);
CREATE TABLE IF NOT EXISTS changes (
  id INTEGER PRIMARY KEY, target TEXT NOT NULL, at_s REAL NOT NULL, text TEXT NOT NULL,
  before TEXT NOT NULL, after TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS changes_by_time ON changes (at_s);
CREATE TABLE IF NOT EXISTS states (target TEXT PRIMARY KEY, body TEXT NOT NULL);
"""
_OLD_PROBES = """DELETE FROM probes WHERE target = ? AND (at_s < ? OR id <= (
  SELECT id FROM probes WHERE target = ? ORDER BY id DESC LIMIT 1 OFFSET ?))"""
_OLD_CHANGES = """DELETE FROM changes WHERE id <= (
  SELECT id FROM changes ORDER BY id DESC LIMIT 1 OFFSET ?)"""
_NEW_STATE = "INSERT OR REPLACE INTO states VALUES (?, ?)"
_DAY_S = 86_400
_MAX_PROBES_PER_TARGET = 20_000
_MAX_CHANGES = 10_000


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

    A database that cannot be opened is renamed and replaced by a new one. If the disk is full,
    writing fails and monitoring goes on; `fault` has the reason until a write succeeds.

    Attributes:
        set_aside: path to which a broken database was renamed; ``None`` if it was not broken.
        fault: why the last write failed; ``None`` if it succeeded.
    """

    def __init__(self, path: str, retention_days: float) -> None:
        self._path = path
        self._retention_s = retention_days * _DAY_S
        self.set_aside: str | None = None
        self.fault: str | None = None
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            self.set_aside = f"{path}.broken-{int(time.time())}"
            Path(path).rename(self.set_aside)
            for suffix in ("-wal", "-shm"):
                Path(path + suffix).unlink(missing_ok=True)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=5, isolation_level=None)
        try:
            # With WAL, a process that is killed loses no committed probe and blocks no reader.
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

    def add_probe(self, result: ProbeResult) -> None:
        """Store a probe, and remove those beyond the retention."""
        old = (
            result.target,
            result.at_s - self._retention_s,
            result.target,
            _MAX_PROBES_PER_TARGET,
        )
        self._write(
            (
                "INSERT INTO probes (target, at_s, body) VALUES (?, ?, ?)",
                (result.target, result.at_s, _encode(result)),
            ),
            (_OLD_PROBES, old),
        )

    def add_change(self, change: StateChange) -> None:
        """Store a change together with the new state of its target."""
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

    def probes(self, target: str, since_s: float, limit: int = 2000) -> list[ProbeResult]:
        """Return the newest probes of a target since a Unix time, oldest first."""
        rows = self._read(
            "SELECT body FROM probes WHERE target = ? AND at_s >= ? ORDER BY at_s DESC LIMIT ?",
            (target, since_s, limit),
        )
        return [_decode(row[0]) for row in reversed(rows)]

    def changes(self, target: str | None = None, limit: int = 100) -> list[StateChange]:
        """Return the newest changes, newest first."""
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

    def spent(self, target: str, since_s: float) -> tuple[int, int]:
        """Return the number of probes and of events since a Unix time."""
        rows = self._read(
            "SELECT COUNT(*), COALESCE(SUM(json_extract(body, '$.events')), 0) FROM probes"
            " WHERE target = ? AND at_s >= ?",
            (target, since_s),
        )
        return rows[0][0], rows[0][1]

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    def _write(self, *statements: tuple[str, Sequence[Any]]) -> None:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                for text, values in statements:
                    self._connection.execute(text, values)
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.fault = str(error)
        else:
            self.fault = None

    def _read(self, text: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._connection.execute(text, values).fetchall()


def _encode(result: ProbeResult) -> str:
    return json.dumps(asdict(result), separators=(",", ":"))


def _decode(text: str) -> ProbeResult:
    row = json.loads(text)
    hops = tuple(_decode_hop(hop) for hop in row.pop("hops"))
    return ProbeResult(**{**row, "codes": tuple(row["codes"])}, hops=hops)


def _decode_hop(row: dict[str, Any]) -> HopState:
    lists = {name: tuple(row[name]) for name in ("intermediaries", "headers")}
    return HopState(**{**row, **lists})
