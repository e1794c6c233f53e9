"""The routing subgraph: budget_check, the attempts, record_cost. Start with ``router``."""
