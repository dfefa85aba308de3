"""The command `trace`: everything known of one image, and what becomes of it. It changes nothing."""
