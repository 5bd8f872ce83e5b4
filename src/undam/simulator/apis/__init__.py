"""Response forms of the simulator, one per streaming API."""
