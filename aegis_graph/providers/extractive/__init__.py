"""The kind ``extractive``: sentences of the passages, quoted."""
