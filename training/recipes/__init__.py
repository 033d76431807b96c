"""The training recipes."""
