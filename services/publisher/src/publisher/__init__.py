"""Publisher: activates, edits and deletes images, and does the work whose events were lost."""
