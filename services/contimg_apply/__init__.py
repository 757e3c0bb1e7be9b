"""Stage apply."""
