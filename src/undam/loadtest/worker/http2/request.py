"""Request on a stream of an HTTP/2 connection."""

from __future__ import annotations

from undam.loadtest.analysis.framing import Http2Framing
from undam.loadtest.analysis.response_analyzer import ApiContext, RawRead, ResponseAnalyzer
from undam.loadtest.protocol import MAX_BODY_BYTES
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import WorkerConnection
from undam.loadtest.worker.schedule import DueRequest
from undam.record import Head


class Http2Request(ActiveRequest):
    """A request and its response so far; ``request`` is only the body, without header fields.

    Attributes:
        connection: connection that carries it; ``None`` before and afterwards.
        stream_id: number of its stream; 0 until it is sent.
        framing: head and end of the response, as far as they were received.
    """

    __slots__ = ("connection", "framing", "stream_id")

    def __init__(self, due: DueRequest, request: bytes, deadline_ns: int) -> None:
        super().__init__(due, request, deadline_ns)
        self.connection: WorkerConnection | None = None
        self.stream_id = 0
        self.framing = Http2Framing()

    def receive_head(self, head: Head) -> None:
        """Store the final head of the response."""
        self.size += sum(len(name) + len(value) for name, value in head.headers)
        self.framing.head = head

    def receive(self, read: RawRead) -> bool:
        """Analyze the content of DATA frames; it is empty if the read contained only the head.

        Returns:
            Whether the response is too large (see ``fault``).
        """
        self.reads.append(read)
        self.size += len(read[3])
        if self.size > MAX_BODY_BYTES:
            self.fault = ("too-large", f"the response is larger than {MAX_BODY_BYTES} bytes")
        return self.fault is not None

    def _feed(self) -> None:
        """Do nothing: the connection detects the end of the response."""

    def _make_analyzer(self, context: ApiContext) -> ResponseAnalyzer:
        return ResponseAnalyzer(context, self.framing)
