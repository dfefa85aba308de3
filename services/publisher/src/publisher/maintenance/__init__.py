"""What runs by itself: repair after lost events, expiry, and finishing deletions."""
