"""UVH5, the raw files of DSA-110."""
