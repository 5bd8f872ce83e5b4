"""The HTTP/2 client connection joined to h2's server side, without a network."""

from __future__ import annotations

from typing import TypeVar

import h2.config
import h2.connection
import h2.events
import h2.settings

from undam.http2.client import ClientEvent, Http2Connection

FIELDS = [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", "/")]
OK = [(":status", "200"), ("content-type", "text/event-stream")]

E = TypeVar("E", bound=h2.events.Event)


class Http2Pair:
    """Client connection and server; ``requests`` contains the events that the server received."""

    def __init__(self, **settings: int) -> None:
        self.client = Http2Connection()
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        values = {getattr(h2.settings.SettingCodes, name): n for name, n in settings.items()}
        self.server.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.server.initiate_connection()
        self.requests: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> list[ClientEvent]:
        """Deliver the pending data of both sides until neither has more to send."""
        found: list[ClientEvent] = []
        while True:
            up, down = self.client.to_send(), self.server.data_to_send()
            if not up and not down:
                return found
            self.requests += self.server.receive_data(up)
            found += self.client.receive_data(down)

    def received(self, kind: type[E]) -> list[E]:
        """Return the events of this type that the server has received."""
        return [event for event in self.requests if isinstance(event, kind)]
