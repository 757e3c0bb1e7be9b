"""Telescopes as the platform sees them; each is a package found by its entry point."""
