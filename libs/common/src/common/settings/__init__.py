"""Settings, from the environment: each is checked at the start, and told in a sentence when it cannot be used."""
