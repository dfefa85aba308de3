"""Accepts uploads: checks, names and stores the original, and publishes ImageUploaded. Answers the status of images."""
