"""The application's own functions in a request's way."""
