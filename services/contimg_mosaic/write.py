"""FITS files of a mosaic with the cards that every image product carries."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.time import Time
from astropy.wcs import WCS
from numpy.typing import NDArray

from contimg import __version__
from contimg.models.quality import Verdict
from contimg.radio.gaussians import Beam
from contimg_mosaic.tiles import Tile

__all__ = ["Cards", "header", "write"]

CARRIED = ("BEAMMOD", "CALSEL", "CALMODE", "CATVER", "TELESCOP", "OBJECT")
"""Cards taken over from the members when all of them say the same."""


@dataclass(frozen=True)
class Cards:
    """What the headers say beyond the coordinates."""

    group: str
    method: str
    recipe: str
    begin: str
    end: str
    frequency_hz: float
    bandwidth_hz: float
    corrected: bool
    pb_floor: float
    verdict: Verdict


def header(wcs: WCS, beam: Beam, tiles: list[Tile], cards: Cards) -> fits.Header:
    """Return the header shared by mosaic, weight and noise."""
    made = wcs.to_header()
    made["RADESYS"] = "ICRS"
    made["BMAJ"] = (beam.major_arcsec / 3600.0, "[deg] restoring beam, major axis")
    made["BMIN"] = (beam.minor_arcsec / 3600.0, "[deg] restoring beam, minor axis")
    made["BPA"] = (beam.pa_deg, "[deg] position angle, north through east")
    begin, end = Time(cards.begin, scale="utc"), Time(cards.end, scale="utc")
    made["TIMESYS"] = "UTC"
    made["DATE-BEG"] = (begin.isot, "start of the first member")
    made["DATE-END"] = (end.isot, "end of the last member")
    made["DATE-OBS"] = begin.isot
    made["MJD-AVG"] = (float((begin.mjd + end.mjd) / 2.0), "[d] middle")
    if np.isfinite(cards.frequency_hz):
        made["FREQ"] = (cards.frequency_hz, "[Hz] centre frequency")
        made["BANDWID"] = (cards.bandwidth_hz, "[Hz] bandwidth")
    made["GROUPID"] = cards.group
    made["PIPEVER"] = (__version__, "version of Contimg")
    made["RECIPE"] = (cards.recipe, "task")
    made["QAVERD"] = (cards.verdict.value, "verdict of the measured figures")
    made["MOSMETH"] = (cards.method, "how the members were combined")
    made["PBCOR"] = (cards.corrected, "corrected for the primary beam")
    made["NMEMBERS"] = (len(tiles), "images in the mosaic")
    if cards.corrected:
        made["PBFLOOR"] = (cards.pb_floor, "lowest beam used of a member")
    for name in CARRIED:
        said = {str(tile.header[name]) for tile in tiles if name in tile.header}
        if said:
            made[name] = said.pop() if len(said) == 1 else "mixed"
    for tile in tiles:
        made["HISTORY"] = f"member {tile.image_path.name} rms {tile.rms_jy:.4g} Jy/beam"
    return made


def write(path: Path, data: NDArray[np.float32], shared: fits.Header, unit: str, kind: str) -> None:
    """Write one image, shape (ny, nx), in the given ``unit``."""
    own = shared.copy()
    own["BUNIT"] = unit
    own["BTYPE"] = kind
    fits.PrimaryHDU(data, own).writeto(path)
