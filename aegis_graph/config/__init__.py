"""The configuration: its rows, its file, and its defaults."""
