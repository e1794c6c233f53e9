"""The router as an OpenAI-compatible endpoint."""
