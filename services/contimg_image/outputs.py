"""Writing the products of one image: FITS siblings and the CASA image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from casacore.images import image as casa_image
from numpy.typing import NDArray

from contimg.errors import ResourceExhausted
from contimg.radio.memory import zeroed

__all__ = ["UNITS", "write_casa_image", "write_fits"]

UNITS = {"": "Jy/beam", "pbcor": "Jy/beam", "residual": "Jy/beam", "model": "Jy/pixel", "psf": "", "pb": ""}
"""Products by the end of their name, with their unit."""


def write_fits(path: Path, image: NDArray[np.float32], header: fits.Header, kind: str) -> None:
    """Write one product with four axes.

    Parameters
    ----------
    path
        A new file.
    image
        Shape (N, N), north up, east to the left [the unit that :data:`UNITS` gives].
    header
        Of the restored image.
    kind
        Key of :data:`UNITS`; the model and the primary beam carry no restoring beam.

    Raises
    ------
    ResourceExhausted
        If the disk is full.
    """
    own = header.copy()
    own["BUNIT"] = UNITS[kind]
    if kind in {"model", "pb"}:
        for key in ("BMAJ", "BMIN", "BPA"):
            del own[key]
    hdu = fits.PrimaryHDU(np.ascontiguousarray(image, np.float32)[None, None], own)
    try:
        hdu.writeto(path)
    except OSError as error:
        raise ResourceExhausted(f"{path} ({image.nbytes} bytes) cannot be written: {error}; make room there") from error


@zeroed()
def write_casa_image(fits_path: Path, path: Path) -> None:
    """Turn a FITS image into a CASA PagedImage; casacore copies pixels, coordinates, unit and beam.

    Raises
    ------
    ResourceExhausted
        If it cannot be written.
    """
    try:
        casa_image(str(fits_path)).saveas(str(path), overwrite=False)
    except RuntimeError as error:
        size = fits_path.stat().st_size
        raise ResourceExhausted(f"{path} ({size} bytes) cannot be written: {error}; make room there") from error
