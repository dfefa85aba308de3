"""Settings from the environment. Each is checked at the start; an error line names one that cannot be used."""
