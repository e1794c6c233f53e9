"""Parts of a retrieval application, built on the router."""
