"""Takes uploads: checks, names and stores the original, and publishes ImageUploaded."""
