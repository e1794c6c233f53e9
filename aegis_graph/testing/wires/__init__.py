"""How each provider's protocol looks on the wire."""
