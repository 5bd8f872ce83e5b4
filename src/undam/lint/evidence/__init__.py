"""Evidence of event streams: which routes of a configuration stream, and why."""
