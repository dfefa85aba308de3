"""Moves what the v5 database knows of into *active*, and has its thumbnails made; runs to completion."""
