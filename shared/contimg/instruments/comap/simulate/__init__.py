"""A simulator of level-1 files: places by the frames of astropy, nothing shared with what it tests."""
