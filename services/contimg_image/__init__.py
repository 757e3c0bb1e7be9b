"""Stage image."""
