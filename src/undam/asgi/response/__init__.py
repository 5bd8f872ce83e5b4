"""Event stream responses: sources, frames, headers and the driven response."""
