"""What providers have billed, read and compared with the ledger."""
