"""The embedded default: all services in one process, over the in-process bus and local folders."""
