"""COMAP: a single dish with 19 feeds at 26–34 GHz; one level-1 file per observation."""
