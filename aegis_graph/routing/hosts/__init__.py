"""A host graph around the router: what it chose, what it would observe, what it is not shown."""
