"""Stage level2 of COMAP: raw power of one observation into calibrated, binned and filtered time streams."""
