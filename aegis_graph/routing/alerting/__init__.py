"""What operators are sent: alerts of budgets, notices of changes."""
