"""Every row of the ledger, for spreadsheets, programs and finance tools."""
