"""Money, and what a call costs."""
