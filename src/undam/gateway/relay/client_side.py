"""Interface that the client connection provides to the relay of a request."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class ClientSide(Protocol):
    """Interface that the client connection provides to the relay of a request."""

    def request_admitted(self) -> None:
        """Read the body, and call `ResponseRelay.send` when the request can be sent."""
        ...

    def start_tunnel(self) -> None:
        """Pass all further data to `ResponseRelay.tunnel_data`."""
        ...

    def schedule(self, deadline: float) -> None:
        """Ensure that `ResponseRelay.on_deadline` is called at ``deadline`` or earlier."""
        ...

    def defer(self, job: Callable[[], None]) -> None:
        """Run ``job`` in a few milliseconds, after pending I/O."""
        ...

    def response_finished(self, *, keep: bool) -> None:
        """Begin the next request if ``keep`` is true; otherwise close the connection."""
        ...

    def pause_request(self, paused: bool) -> None:
        """Pause or resume reading of the request body."""
        ...

    def reset(self) -> None:
        """Reset the connection. Unsent data is lost, including data in the kernel."""
        ...

    def unsent_bytes(self) -> int:
        """Return the number of bytes that are in the write buffer, not yet sent to the client."""
        ...
