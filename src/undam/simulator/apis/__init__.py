"""Response formats for the simulator, one for each streaming API."""
