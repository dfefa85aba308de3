"""The descriptions of HTTP calls and of events as pages."""
