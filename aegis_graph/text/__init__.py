"""Passages, sentences and words: what answering from documents needs, without any model."""
