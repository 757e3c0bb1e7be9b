"""Stage convert."""
