"""The `reconcile` command: compares both buckets with each other and with the site's database."""
