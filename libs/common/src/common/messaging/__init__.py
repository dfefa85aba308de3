"""Events between services: what they are, where they are queued, and the two buses that carry them."""
