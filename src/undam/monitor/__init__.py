"""Continuous checks: state, changes and metrics of targets over time (`undam monitor`)."""
