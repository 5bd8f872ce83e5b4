"""What was seen on the wire, as data, and its form as JSON lines."""

from undam.record.exchange import Ending, Exchange, Head, Stamps

__all__ = ["Ending", "Exchange", "Head", "Stamps"]
