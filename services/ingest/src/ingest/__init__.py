"""Accepts uploads: checks, names and stores the original, and publishes ImageUploaded. Tells the status of images."""
