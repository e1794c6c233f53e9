"""The kind ``anyllm``: Mozilla's any-llm and the providers that it knows."""
