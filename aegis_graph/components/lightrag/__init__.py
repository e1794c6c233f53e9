"""LightRAG, every call of it through the routing subgraph; needs the extra ``lightrag``."""
