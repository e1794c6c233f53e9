"""What an operator sees of requests while they run: spans, metrics and one line of the log."""
