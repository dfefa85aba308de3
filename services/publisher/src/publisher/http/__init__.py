"""The HTTP calls of the API server."""
