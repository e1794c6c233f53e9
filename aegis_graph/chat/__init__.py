"""The router as a LangChain chat model."""
