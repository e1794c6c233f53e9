"""The providers that may be asked now, and in which order, from what is known of them."""
