"""Reading and rewriting originals: headers, orientation, metadata. What decodes runs in a decoding process."""
