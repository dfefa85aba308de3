"""A tool of the tests, which no service has where it is deployed."""

raise ImportError
