"""Everything that decodes an image, reading a header included, happens in processes that may die."""
