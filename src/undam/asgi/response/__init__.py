"""Event stream responses: sources, frames, headers, and the code that drives a response."""
