"""The command line that every service has: `check`, its jobs, and `--help`."""
