"""JSON form of the frames between the coordinator and cluster workers. No I/O.

On one machine, frames are marshalled: both ends of the pipe are this program. A frame from another
machine is input from outside. It is parsed as JSON, and each value is checked as in a record.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from undam.json_values import (
    MAX_INT,
    require_array,
    require_bool,
    require_int,
    require_object,
    require_text,
)
from undam.loadtest.protocol import (
    Batch,
    Failure,
    FinalReport,
    Frame,
    Ready,
    Status,
    pack_values,
    unpack_values,
)
from undam.record.request_result_lines import request_result_from, request_result_row

MAX_FRAME_BYTES = 64 << 20
"""Maximum size of a frame from a worker; a batch of 32 results has less than 1 MB."""

_RESULT_KINDS: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (Ready, Batch, Status, FinalReport, Failure)
}
_CHECKS: dict[str, Callable[[object], object]] = {
    "int": lambda value: require_int(value, least=-MAX_INT),
    "bool": require_bool,
    "str": require_text,
}


class FrameError(ValueError):
    """A frame from a worker is invalid."""


def result_json(frame: Frame) -> bytes:
    """Encode a worker's frame as JSON."""
    row: dict[str, object] = {"kind": type(frame).__name__}
    if isinstance(frame, Batch):
        measured = [request_result_row(result) for result in frame.measured]
        row |= {"worker": frame.worker, "measured": measured}
    else:
        row |= {spec.name: getattr(frame, spec.name) for spec in fields(frame)}
    return json.dumps(row, separators=(",", ":")).encode()


def result_from_json(data: object, worker: int) -> Frame:
    """Decode a worker's frame from JSON.

    Args:
        worker: number of the worker that sent it.

    Raises:
        FrameError: the data is not such a frame; the message states the reason.
    """
    try:
        if not isinstance(data, bytes) or len(data) > MAX_FRAME_BYTES:
            raise ValueError(f"the frame is not binary, or is larger than {MAX_FRAME_BYTES} bytes")
        row = json.loads(data)
        cls = _RESULT_KINDS[require_text(row["kind"])]
        if require_int(row["worker"]) != worker:
            raise ValueError("the frame belongs to another worker")
        return _batch(row) if cls is Batch else _checked(cls, row)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise FrameError(f"{type(error).__name__}: {error}"[:120]) from None


def job_json(frame: bytes) -> bytes:
    """Convert an encoded frame from the coordinator to JSON."""
    return json.dumps(unpack_values(frame), default=_base64).encode()


def job_from_json(data: bytes) -> bytes:
    """Convert JSON from the coordinator to an encoded frame for the local worker."""
    values = json.loads(data, object_hook=lambda one: base64.b64decode(one["base64"]))
    return pack_values([_with_tuples(value) for value in require_array(values)])


def _base64(value: object) -> dict[str, str]:
    assert isinstance(value, bytes)
    return {"base64": base64.b64encode(value).decode("ascii")}


def _with_tuples(value: object) -> object:
    """Return ``value`` with all lists converted to tuples, because jobs contain tuples."""
    return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


def _batch(row: Mapping[str, Any]) -> Batch:
    rows = map(require_object, require_array(row["measured"]))
    measured = tuple(request_result_from(one) for one in rows)
    return Batch(worker=row["worker"], measured=measured)


def _checked(cls: type[Any], row: Mapping[str, object]) -> Frame:
    values = {spec.name: _CHECKS[str(spec.type)](row[spec.name]) for spec in fields(cls)}
    frame: Frame = cls(**values)
    return frame
