"""Stage mosaic: the images of a group become one mosaic with its weight and noise maps."""
