"""For all tests: Ctrl-C means here what it means to a user."""

import signal

# A shell that starts a job in the background has it ignore SIGINT, and every program that the
# tests start would inherit that; then none of them could be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
