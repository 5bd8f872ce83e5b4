"""Pass-through of the stream of another model API, without a change to its events."""
