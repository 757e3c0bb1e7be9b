"""Stage crossmatch: sources of a mosaic, compared with reference catalogs."""
