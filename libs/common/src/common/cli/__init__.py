"""The command line that every service has: `check`, `dead-letters`, its jobs, and `--help`."""
