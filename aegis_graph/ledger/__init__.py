"""The ledger: the only memory of money."""
