"""How good the components are: the public formats, the scorers, and the runs over providers."""
