"""The HTTP calls of browsers: uploads, and what clients ask about an image."""
