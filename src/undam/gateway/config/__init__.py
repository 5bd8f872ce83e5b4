"""Options of the gateway, from the command line and from a TOML file."""
