"""What the services share. Services never import one another, only this."""
