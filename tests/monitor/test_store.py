"""Monitor database: retention, restarts, damaged files, and a full disk."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.store import StateChange, Store

HOP = HopState("edge", "batched", "size", 4096, hold_ms=380.0, intermediaries=("nginx",),
               headers=("x-accel-buffering: no",), tls_days_left=9.5,
               faults=(("lost", 2),))  # fmt: skip
PROBE = ProbeResult("chat", 5.0, "batched", (HOP,), True, 200.0, 380.0, codes=("UD102",),
                    events=120, fixes=("nginx: proxy_buffering off;",), idle_tried_s=60.0,
                    cancels=(("in silence", None),))  # fmt: skip


def fault(store: Store) -> str | None:
    """Return the fault of the last write; a call avoids type narrowing between assertions."""
    return store.fault


def probe(at_s: float, **more: object) -> ProbeResult:
    return replace(PROBE, at_s=at_s, **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "m.db"), 1)
    yield opened
    opened.close()


def test_a_probe_is_read_as_it_was_written(store: Store) -> None:
    store.add_probe(replace(PROBE, arrivals_ms=(1.0, 2.55)))
    assert store.probes("chat", 0, 9) == [PROBE]
    assert store.arrivals_ms("chat") == [1.0, 2.5]
    assert store.summaries("chat", 0) == [(5.0, "batched", 1, 200.0, 380.0)]
    assert store.spending("chat", 0) == [(5.0, 120)]
    assert (store.arrivals_ms("other"), store.state("other")) == ([], None)


def test_old_probes_are_removed(store: Store) -> None:
    for number in range(130):
        store.add_probe(probe(number * 1000.0))
    kept = [one.at_s for one in store.summaries("chat", -1)]
    # Old probes are deleted after each 64 new probes.
    assert kept[0] == 128_000 - 86_000
    assert kept[-1] == 129_000


def test_the_number_of_probes_of_a_target_is_limited(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undam.monitor.store._MAX_PROBES_PER_TARGET", 10)
    for number in range(129):
        store.add_probe(probe(float(number)))
    assert len(store.summaries("chat", -1)) <= 11


@pytest.mark.parametrize(
    "content", [b"this is not a database" * 100, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_broken_database_is_set_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(content)
    store = Store(str(path), 30)
    assert store.set_aside is not None
    assert Path(store.set_aside).read_bytes() == content
    store.add_probe(PROBE)
    assert fault(store) is None
    store.close()


def test_a_database_of_another_form_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    older = sqlite3.connect(path)
    older.execute("CREATE TABLE probes (id INTEGER PRIMARY KEY, target TEXT, body TEXT)")
    older.close()
    store = Store(str(path), 30)
    assert store.set_aside is not None
    store.close()


def test_damage_while_running_starts_a_new_database(store: Store, tmp_path: Path) -> None:
    for number in range(50):
        store.add_probe(probe(float(number)))
    store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._connection.close()
    database = tmp_path / "m.db"
    database.write_bytes(database.read_bytes()[:4096] + b"\xff" * (database.stat().st_size - 4096))
    store._connection = sqlite3.connect(database, isolation_level=None)
    store.add_probe(probe(99.0))
    assert store.set_aside is not None
    assert fault(store) is None
    assert [one.at_s for one in store.summaries("chat", 0)] == [99.0]


def test_a_missing_folder_is_an_error_and_sets_nothing_aside(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        Store(str(tmp_path / "missing" / "m.db"), 30)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_fault_until_there_is_room(store: Store) -> None:
    (pages,) = store._connection.execute("PRAGMA page_count").fetchone()
    store._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    for number in range(60):
        store.add_probe(probe(float(number)))
    assert fault(store) == "database or disk is full"
    stored = len(store.summaries("chat", 0))
    assert 0 < stored < 60
    store._connection.execute("PRAGMA max_page_count = 100000")
    store.add_change(StateChange("chat", 1.0, "text", PROBE, PROBE))
    assert fault(store) is None
    assert store.state("chat") == PROBE
    assert len(store.summaries("chat", 0)) == stored


def test_a_locked_database_is_a_fault_until_it_is_free(store: Store, tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "m.db")
    store._connection.execute("PRAGMA busy_timeout=10")
    blocker.execute("BEGIN IMMEDIATE")
    store.add_probe(PROBE)
    assert fault(store) == "database is locked"
    blocker.execute("ROLLBACK")
    store.add_probe(PROBE)
    assert fault(store) is None
    blocker.close()


WRITER = """
import sys
from undam.monitor.probe_result import ProbeResult
from undam.monitor.store import Store
store = Store(sys.argv[1], 30)
number = int(sys.argv[2])
while True:
    number += 1
    store.add_probe(ProbeResult("chat", float(number), "streaming", events=number))
    assert store.fault is None, store.fault
    print(number, flush=True)
"""


@pytest.mark.slow
def test_20_kills_at_random_moments_lose_no_reported_probe(tmp_path: Path) -> None:
    path, chance, reported = tmp_path / "m.db", random.Random(5), 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(reported)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(chance.uniform(0, 0.05))
        process.kill()
        lines = [first, *process.stdout.read().splitlines()]
        process.wait()
        process.stdout.close()
        reported = int([line for line in lines if line.strip()][-1])
        store = Store(str(path), 30)
        assert store.set_aside is None
        assert store.spending("chat", 0)[-1][1] >= reported
        reported = store.spending("chat", 0)[-1][1]
        store.close()
