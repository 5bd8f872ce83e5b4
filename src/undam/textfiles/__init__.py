"""Source text with positions, YAML and TOML trees over it, and edits to it."""
