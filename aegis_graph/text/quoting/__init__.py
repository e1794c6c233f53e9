"""Answers by rule: what a question expects, what of the passages fits it, and what is quoted."""
