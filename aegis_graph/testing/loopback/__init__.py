"""A server on this machine that plays scripted replies and keeps what it received."""
