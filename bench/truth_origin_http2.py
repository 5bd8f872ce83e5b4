"""Version of `bench.truth_origin` for HTTP/2 with prior knowledge.

``python -m bench.truth_origin_http2 TTFT_MS SIGMA GAP_MS TOKENS FILE``. Each token is a DATA frame
and a send of its own. The windows of `undam bench` are larger than all responses of a benchmark,
so they are not observed.
"""

from __future__ import annotations

import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.settings

from bench.truth_origin import Origin, event, main
from undam.http2.frames import DATA, END_STREAM, encode_frame

_HEAD = ((":status", "200"), ("content-type", "text/event-stream"), ("cache-control", "no-cache"))
_STREAMS = 1000
_ROLE = event({"role": "assistant", "content": ""})
_TOKEN = event({"content": "token "})
_END = event({}, "stop") + b"data: [DONE]\n\n"


class Http2Origin(Origin):
    """HTTP/2 server. h2 encodes the response heads; this class encodes the DATA frames."""

    def __init__(self, ttft_ms: float, sigma: float, gap_ms: float, tokens: int) -> None:
        super().__init__(ttft_ms, sigma, gap_ms, tokens)
        self._connections: dict[socket.socket, h2.connection.H2Connection] = {}

    def receive(self, sock: socket.socket, data: bytes, at_ns: int) -> None:
        """Process the bytes of one read."""
        connection = self._connections.get(sock)
        if connection is None:
            connection = self._connections[sock] = _new_connection()
        for one in connection.receive_data(data):
            if isinstance(one, h2.events.StreamEnded):
                ident = one.stream_id
                # h2 does not send the DATA frames, so for h2 the response ends with its head.
                connection.send_headers(ident, _HEAD)
                sock.send(connection.data_to_send() + encode_frame(DATA, 0, ident, _ROLE))
                connection.end_stream(ident)
                connection.clear_outbound_data_buffer()
                self.start(
                    sock,
                    at_ns,
                    encode_frame(DATA, 0, ident, _TOKEN),
                    encode_frame(DATA, END_STREAM, ident, _END),
                )
        if out := connection.data_to_send():
            sock.send(out)


def _new_connection() -> h2.connection.H2Connection:
    connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    codes = h2.settings.SettingCodes
    connection.local_settings = h2.settings.Settings(
        client=False, initial_values={codes.MAX_CONCURRENT_STREAMS: _STREAMS}
    )
    connection.initiate_connection()
    return connection


if __name__ == "__main__":
    main(sys.argv[1:], Http2Origin)
