"""Decoding processes: what decodes strangers' bytes runs in a process that holds no secret and may die."""
