"""What bridges threads, loops and processes: sync callers, and one value per event loop."""
