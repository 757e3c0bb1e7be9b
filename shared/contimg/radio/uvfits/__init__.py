"""UVFITS, the raw files of pointed arrays."""
