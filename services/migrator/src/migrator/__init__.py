"""Copies the images of the v5 database to *active* and has their thumbnails made. A command: it runs and ends."""
