"""The HTTP API: every call of every service in one table, and the OpenAPI document that is made from it."""
