"""Configuration of the gateway: options, TOML files and limits."""
