"""Stage mosaic."""
