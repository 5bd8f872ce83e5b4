"""HTTP/1.1 in reassembled TCP data: streamed responses with the times of their bytes.

Captured traffic may begin in the middle of a message and may lack segments. After missing bytes,
parsing continues where that is possible without a guess, and the response is marked as incomplete.
"""

from __future__ import annotations

import re

import httptools

from undam.record import Ending, Head
from undam.tap.capture.segments import Endpoint
from undam.tap.http.streams import (
    MAX_BODY_BYTES,
    BodyDigest,
    CapturedRequest,
    CapturedStream,
    StreamBuilder,
    may_stream,
)
from undam.tap.reassembly import Piece

_MAX_HEAD_BYTES = 64 << 10
_METHOD = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT) [!-~]+ HTTP/1\.[01]\r\n")


class RequestTracker:
    """Parser for the requests on one connection. Finished requests are stored in ``finished``."""

    def __init__(self) -> None:
        self.finished: list[CapturedRequest] = []
        self._parser: httptools.HttpRequestParser | None = None
        self._request = CapturedRequest()
        self._digest = BodyDigest()
        self._at_ns = 0
        self._in_message = False

    def receive_piece(self, piece: Piece) -> None:
        """Parse one piece of the data that the client sent."""
        if piece.lost:
            self._abandon()
        self._at_ns = piece.at_ns
        data = piece.data
        if self._parser is None:
            found = _METHOD.search(data)
            if found is None:
                return
            data = data[found.start() :]
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserError:
            self._abandon()

    def _abandon(self) -> None:
        """Stop parsing until the next request line; the response may still be usable."""
        self._parser = None
        if self._in_message:
            self._in_message = False
            self._request.sent_ns = self._at_ns
            self._request.body_hash = None
            self.finished.append(self._request)

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        self._request = CapturedRequest(start_ns=self._at_ns)
        self._digest = BodyDigest()
        self._in_message = True

    def on_url(self, url: bytes) -> None:
        self._request.add_target(url.decode("latin-1"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.add_header(name.decode("latin-1").lower(), value.decode("latin-1"))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._request.method = self._parser.get_method().decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._digest.add(data)

    def on_message_complete(self) -> None:
        self._in_message = False
        self._request.sent_ns = self._at_ns
        self._request.body_hash = self._digest.value()
        self.finished.append(self._request)


class ResponseTracker:
    """Parser for the responses on one connection.

    Args:
        requests: parser of the other direction, whose requests these responses answer.

    Attributes:
        finished: streams that ended. The caller empties the list.
        passed_over: responses that are not streams.
    """

    def __init__(self, client: Endpoint, server: Endpoint, requests: RequestTracker) -> None:
        self.finished: list[CapturedStream] = []
        self.passed_over = 0
        self._client, self._server, self._requests = client, server, requests
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: list[tuple[str, str]] = []
        self._builder: StreamBuilder | None = None
        self._body: list[bytes] = []
        self._at_ns = 0
        self._head_bytes = 0
        self._raw = False
        self._filling = False
        self._ends_by_close = False
        self._has_no_body = False

    @property
    def open_streams(self) -> list[CapturedStream]:
        """The response that has not ended yet, if there is one."""
        return [] if self._builder is None else [self._builder.stream]

    def receive_piece(self, piece: Piece) -> None:
        """Parse one piece of the data that the server sent."""
        self._at_ns, data, lost = piece
        if lost:
            self._receive_loss(lost)
        if data:
            self._receive_data(data)
        if self._body:
            self._add_arrival()

    def finish(self, at_ns: int, *, by: str, from_server: bool) -> None:
        """End the current stream, because the connection or the capture has ended.

        Args:
            by: ``fin``, ``rst`` or ``capture``.
            from_server: whether the server ended the connection.
        """
        if self._builder is not None:
            close = self._ends_by_close
            self._builder.end(at_ns, by=by, from_server=from_server, ends_by_close=close)
            self._emit()

    def _receive_data(self, data: bytes) -> None:
        if self._raw:
            self._receive_raw(data)
            return
        if self._parser is None:
            at = 0 if data.startswith(b"HTTP/1.") else data.find(b"\r\nHTTP/1.") + 2
            if at == 1:
                return
            data = data[at:]
            self._new_parser()
        assert self._parser is not None
        self._head_bytes = 0 if self._builder is not None else self._head_bytes + len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._parser = None
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = self._builder = None
        except httptools.HttpParserError:
            self._parser = None
            if self._builder is not None and self._builder.stream.lost_bytes:
                # The missing bytes contained a chunk size, so the framing of all further data is
                # unknown.
                self._raw = True
            elif self._builder is not None:
                self._builder.stream.problem = "the response is not valid HTTP"
                self._end(Ending.BROKEN)
        if self._has_no_body:
            # The parser would wait for the body that the head describes.
            self._parser, self._has_no_body = None, False
            _, _, rest = data.partition(b"\r\n\r\n")
            if rest:
                self._receive_data(rest)

    def _receive_loss(self, count: int) -> None:
        """Handle missing bytes as if they belonged to the current chunk."""
        if self._builder is None:
            self._parser = None
            return
        self._builder.add_loss(count)
        if self._parser is None or self._raw or count > MAX_BODY_BYTES:
            return
        self._filling = True
        try:
            self._parser.feed_data(bytes(count))
        except httptools.HttpParserError:
            self._parser, self._raw = None, self._builder is not None
        finally:
            self._filling = False

    def _receive_raw(self, data: bytes) -> None:
        """Keep data although the chunk framing is unknown; line parsers skip chunk-size lines."""
        at = data.find(b"HTTP/1.1 ")
        end = data.find(b"\r\n0\r\n\r\n")
        stop = min((one for one in (at, end) if one >= 0), default=len(data))
        self._body.append(data[:stop])
        if stop == len(data):
            return
        self._add_arrival()
        self._end(Ending.COMPLETE)
        if at >= 0:
            self._receive_data(data[at:])

    def _new_parser(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._head_bytes, self._raw = [], 0, False

    def _add_arrival(self) -> None:
        body = self._body
        if body and self._builder is not None:
            data = body[0] if len(body) == 1 else b"".join(body)
            self._builder.add_arrival(self._at_ns, data)
        self._body = []

    def _end(self, ending: Ending) -> None:
        assert self._builder is not None
        self._builder.stream.ending, self._builder.stream.ended_ns = ending, self._at_ns
        self._emit()

    def _emit(self) -> None:
        assert self._builder is not None
        self.finished.append(self._builder.stream)
        self._builder, self._raw = None, False

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._builder is None:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        headers, self._headers = tuple(self._headers), []
        if status // 100 == 1:
            return
        head = Head(status, self._parser.get_http_version(), headers)
        requests = self._requests.finished
        request = requests.pop(0) if requests else None
        method = "" if request is None else request.method
        if method == "HEAD" or (method == "CONNECT" and status // 100 == 2):
            # Such a response has no body, whatever its head says (RFC 9112, 6.3).
            self._has_no_body = True
            self.passed_over += 1
            return
        chunked = "chunked" in (head.get("transfer-encoding") or "").lower()
        self._ends_by_close = not chunked and head.get("content-length") is None
        if not may_stream(head):
            self.passed_over += 1
            return
        stream = CapturedStream(self._client, self._server, request, head, self._at_ns)
        self._builder = StreamBuilder(stream)

    def on_body(self, data: bytes) -> None:
        if self._builder is not None and not self._filling:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self._add_arrival()
        if self._builder is not None:
            self._end(Ending.COMPLETE)
