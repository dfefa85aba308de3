"""Names, keys, sizes and records: what an image is called, and what is known of it."""
