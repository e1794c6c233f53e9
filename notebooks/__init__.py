"""Notebooks to learn from, and what runs and draws them."""
