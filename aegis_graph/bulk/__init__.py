"""Many items through one graph, under one envelope of money."""
