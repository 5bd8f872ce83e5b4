"""Source texts with positions, trees for YAML and TOML, and edits to the texts.

A tree records the position of each value in the text, and an edit replaces a span of offsets.
Comments and formatting outside the span are therefore preserved.
"""
