"""Source texts with positions: YAML and TOML trees over them, and edits to them.

Everything here is positional. A tree records where each value stands in the text, and an edit
replaces a span of offsets, so comments and formatting outside the span stay as they are.
"""
