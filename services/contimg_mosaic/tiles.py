"""The images that go into a mosaic."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.radio.gaussians import Beam

__all__ = ["Tile", "open_tile"]


@dataclass(frozen=True)
class Tile:
    """One member: where it lies, how noisy it is, and the files with its pixels (read one tile at a time)."""

    image_path: Path
    pb_path: Path
    header: fits.Header
    wcs: WCS
    shape: tuple[int, int]
    beam: Beam
    rms_jy: float
    """Standard deviation of the noise of the image, which is not beam-corrected (Jy/beam)."""

    @property
    def cell_arcsec(self) -> float:
        """Pixel size in declination."""
        return float(abs(self.wcs.wcs.cdelt[1]) * 3600.0)

    @property
    def centre(self) -> tuple[float, float]:
        """ICRS right ascension and declination of the phase centre in degrees."""
        ra, dec = self.wcs.wcs.crval
        return float(ra), float(dec)

    @property
    def band_hz(self) -> tuple[float, float]:
        """Centre and width of the band, from the frequency axis; NaN when there is none."""
        for axis in range(3, int(self.header.get("NAXIS", 2)) + 1):
            if str(self.header.get(f"CTYPE{axis}", "")).startswith("FREQ"):
                return float(self.header[f"CRVAL{axis}"]), float(abs(self.header[f"CDELT{axis}"]))
        return float("nan"), float("nan")

    def image(self) -> NDArray[np.float32]:
        """Read the pixels, (ny, nx), Jy/beam."""
        return _plane(self.image_path)

    def pb(self) -> NDArray[np.float32]:
        """Read the primary beam, (ny, nx), a pure number, 1 at the centre; 0 where it is not defined."""
        pb = _plane(self.pb_path)
        if pb.shape != self.shape:
            msg = f"{self.pb_path.name} has {pb.shape} pixels, its image {self.shape}; make both again with stage image"
            raise BadInput(msg)
        return np.nan_to_num(pb, nan=0.0)


def _plane(path: Path) -> NDArray[np.float32]:
    with fits.open(path, memmap=False) as hdus:
        data = np.asarray(hdus[0].data, dtype=np.float32)
    planes = data.reshape((-1, *data.shape[-2:]))
    if len(planes) != 1:
        msg = f"{path.name} holds {len(planes)} planes, a mosaic needs images of one plane"
        raise BadInput(msg)
    plane: NDArray[np.float32] = planes[0]
    return plane


def open_tile(image_path: Path, pb_path: Path, rms_jy: float) -> Tile:
    """Read the header of a member and check what the mosaic relies on.

    Raises
    ------
    BadInput
        If the image has no celestial SIN projection, no beam, or its noise is not a positive number.
    """
    with fits.open(image_path) as hdus:
        header = hdus[0].header.copy()
        shape = tuple(int(n) for n in hdus[0].shape[-2:])
    wcs = WCS(header).celestial
    if not wcs.has_celestial or not wcs.wcs.ctype[0].endswith("SIN"):
        msg = f"{image_path.name} has axes {list(wcs.wcs.ctype)}, a mosaic needs RA---SIN and DEC--SIN"
        raise BadInput(msg)
    if "BMAJ" not in header:
        msg = f"{image_path.name} has no card BMAJ; only restored images can be combined"
        raise BadInput(msg)
    if not (np.isfinite(rms_jy) and rms_jy > 0):
        msg = f"the noise of {image_path.name} is {rms_jy} Jy/beam; it must be a positive number to weight the image"
        raise BadInput(msg)
    beam = Beam(header["BMAJ"] * 3600.0, header["BMIN"] * 3600.0, header.get("BPA", 0.0))
    return Tile(image_path, pb_path, header, wcs, (shape[0], shape[1]), beam, float(rms_jy))
