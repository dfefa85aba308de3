"""Publisher: activates, edits and deletes images, and repairs what the buckets owe."""
