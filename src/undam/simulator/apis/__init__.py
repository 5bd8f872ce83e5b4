"""Response formats of the simulator, one per streaming API."""
