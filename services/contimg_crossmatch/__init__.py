"""Stage crossmatch."""
