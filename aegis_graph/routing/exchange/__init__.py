"""One attempt, or two at once: what is sent, how long it may take, and what came of it."""
