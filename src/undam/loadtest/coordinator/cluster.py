"""Workers on an existing Ray cluster: one actor each, which relays a local worker's frames.

The measuring process is the same `undam.loadtest` as on one machine, with the same stamps, analysis
and metrics. Ray only starts it elsewhere and carries its bytes. Each request is measured by one
host alone; clocks of hosts are compared only for the common start and the run's timeline.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from undam.errors import UndamError, UsageError
from undam.host import host_name
from undam.loadtest.coordinator.worker_pool import (
    LocalWorkerPool,
    SchedStat,
    WorkerEvent,
    WorkerLost,
    WorkerNode,
)
from undam.loadtest.protocol import Failure, FinalReport, FrameReader, Status, encode

# Actors start within a second or two; a cluster that is full keeps them waiting for ever.
_PLACE_S = 60.0
_CLOCK_ROUNDS = 5
_CALL_S = 10.0
_RELAY_TICK_S = 0.25

_LOST, _FRAME, _ACCOUNT = b"\0", b"\1", b"\2"


class ActorLocation(NamedTuple):
    """A worker's place: Ray's node, the host's name, and the actor's process."""

    node: str
    host: str
    pid: int


class ClusterError(UndamError):
    """The cluster cannot be reached, or has no room."""


class WorkerActor:
    """What runs on the other machine: one worker process and its two pipes."""

    def __init__(self) -> None:
        self._pool = LocalWorkerPool(1)

    def where(self) -> tuple[str, str, int]:
        """Ray's node, the host, this process."""
        import ray  # noqa: PLC0415 (an extra; here it is certainly loaded)

        return ray.get_runtime_context().get_node_id(), host_name(), os.getpid()

    def clock(self) -> int:
        """This machine's CLOCK_REALTIME."""
        return time.time_ns()

    def send(self, data: bytes) -> None:
        """Hand an encoded frame to the worker."""
        self._pool.send(0, data)

    def frames(self) -> Iterator[bytes]:
        """Encoded frames as they come, each behind a byte that says so. A status is followed by
        what the system says of the worker; the last word may be why it was lost, as text."""
        while True:
            for one in self._pool.receive(_RELAY_TICK_S):
                if isinstance(one, WorkerLost):
                    yield _LOST + one.why.encode()
                    return
                yield _FRAME + encode(one)
                sched_stat = self._pool.sched_stat(0)
                if isinstance(one, Status) and sched_stat is not None:
                    yield _ACCOUNT + b"%d %d %d" % sched_stat
                if isinstance(one, FinalReport | Failure):
                    return

    def close(self) -> None:
        """End the worker."""
        self._pool.close()


class RayWorkerPool:
    """Workers on the cluster at ``address`` ("auto", or HOST:PORT of its head).

    undam must be importable on every node, in the same version.

    Raises:
        UsageError: Ray is not installed here.
        ClusterError: the cluster cannot be reached, or has fewer free processors than workers.
    """

    # A call to another node takes a few milliseconds; the slowest of many must come in time.
    start_lead_ns = 500_000_000

    def __init__(self, address: str, size: int) -> None:
        self.size = size
        self._ray = _connected(address)
        self._actors: list[Any] = []
        self._streams: dict[Any, int] = {}
        self._frames = [FrameReader() for _ in range(size)]
        self._offsets = [0] * size
        self._doubts = [0] * size
        self._sched_stats: dict[int, SchedStat] = {}
        try:
            self.places = self._place()
            self._ask_clocks()
            for worker, actor in enumerate(self._actors):
                self._streams[actor.frames.remote()] = worker
        except BaseException:
            self.close()
            raise

    def _place(self) -> tuple[ActorLocation, ...]:
        ray, size = self._ray, self.size
        room = int(ray.cluster_resources().get("CPU", 0))
        if room < size:
            raise ClusterError(f"the cluster has {room} processors for {size} workers: --workers")
        actor = ray.remote(
            num_cpus=1, max_restarts=0, max_concurrency=3, scheduling_strategy="SPREAD"
        )(_actor_class(ray))
        self._actors = [actor.remote() for _ in range(size)]
        try:
            found = ray.get([actor.where.remote() for actor in self._actors], timeout=_PLACE_S)
        except ray.exceptions.GetTimeoutError:
            raise ClusterError(
                f"the cluster found no room for {size} workers within {_PLACE_S:.0f} s"
            ) from None
        except ray.exceptions.RayError as error:
            raise ClusterError(f"a worker did not start: {_first_line(error)}") from None
        return tuple(ActorLocation(*one) for one in found)

    def _ask_clocks(self) -> None:
        """Each node's clock against ours by the quickest of a few exchanges; on one host they
        are the same."""
        here = host_name()
        for worker, (actor, place) in enumerate(zip(self._actors, self.places, strict=True)):
            if place.host != here:
                self._offsets[worker], self._doubts[worker] = self._offset_of(actor)

    def _offset_of(self, actor: Any) -> tuple[int, int]:
        best: tuple[int, int] | None = None
        for _ in range(_CLOCK_ROUNDS):
            asked = time.time_ns()
            there = self._ray.get(actor.clock.remote(), timeout=_CALL_S)
            took = time.time_ns() - asked
            if best is None or took < best[1]:
                best = there - asked - took // 2, took
        assert best is not None
        return best[0], best[1] // 2

    @property
    def nodes(self) -> tuple[WorkerNode, ...]:
        return tuple(
            WorkerNode(place.node, place.host, offset_ns, doubt_ns)
            for place, offset_ns, doubt_ns in zip(
                self.places, self._offsets, self._doubts, strict=True
            )
        )

    def offset_ns(self, worker: int) -> int:
        return self._offsets[worker]

    def send(self, worker: int, data: bytes) -> None:
        # Nobody waits for the answer: one that cannot be told is heard as lost.
        self._actors[worker].send.remote(data)

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        if not self._streams:
            time.sleep(timeout_s)
            return []
        ready, _ = self._ray.wait(list(self._streams), timeout=timeout_s)
        events: list[WorkerEvent] = []
        for stream in ready:
            events += self._next(stream)
        return events

    def _next(self, stream: Any) -> list[WorkerEvent]:
        worker = self._streams[stream]
        try:
            data: bytes = self._ray.get(next(stream), timeout=_CALL_S)
        except StopIteration:
            del self._streams[stream]
            return []
        except self._ray.exceptions.RayError as error:
            del self._streams[stream]
            return [WorkerLost(worker, f"its Ray actor is gone ({type(error).__name__})")]
        if data[:1] == _LOST:
            return [WorkerLost(worker, data[1:].decode())]
        if data[:1] == _ACCOUNT:
            self._sched_stats[worker] = SchedStat(*map(int, data[1:].split()))
            return []
        return list(self._frames[worker].receive_data(data[1:]))

    def sched_stat(self, worker: int) -> SchedStat | None:
        return self._sched_stats.get(worker)

    def kill(self, worker: int) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(self._actors[worker])

    def close(self) -> None:
        closing = [actor.close.remote() for actor in self._actors]
        with contextlib.suppress(Exception):
            self._ray.wait(closing, num_returns=len(closing), timeout=_CALL_S)
        for worker in range(len(self._actors)):
            self.kill(worker)
        self._actors = []
        self._ray.shutdown()


def _actor_class(ray: Any) -> type:
    """``WorkerActor`` with its stream marked as one, as Ray wants it."""

    class StreamingActor(WorkerActor):
        frames = ray.method(num_returns="streaming")(WorkerActor.frames)

    return StreamingActor


def _require_head(address: str) -> None:
    """Ray itself tries for more than a minute, and writes its log to standard error meanwhile."""
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdigit():
        raise UsageError(f"--ray {address}: expected HOST:PORT of the cluster's head, or auto")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CALL_S).close()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ClusterError(f"--ray {address}: no cluster answers there ({reason})") from None


def _connected(address: str) -> Any:
    _require_head(address)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray  # noqa: PLC0415 (an extra, and slow to load)
    except ImportError:
        raise UsageError("--ray needs Ray: pip install ray") from None
    _silence(ray)
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level=50,
            configure_logging=False,
            runtime_env=None,
        )
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise ClusterError(f"--ray {address}: {_first_line(error)}") from None
    finally:
        # Ray takes SIGTERM for itself and would leave no partial report.
        for number, handler in before.items():
            signal.signal(number, handler)
    return ray


def _silence(ray: Any) -> None:
    """Keep Ray's own notices of a lost actor off standard output, whatever its log options: what
    is there may be JSON, and the report tells the loss itself."""
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = lambda *_args, **_kwargs: None


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
