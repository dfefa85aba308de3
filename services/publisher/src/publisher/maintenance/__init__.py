"""What runs by itself: repair of what lost events left undone, expiry, and removal of what deletions left."""
