"""Stage destripe of COMAP: level-2 time streams of many observations into maps."""
