"""The FITS file of a map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.time import Time
from numpy.typing import NDArray

from contimg import __version__
from contimg_comap_destripe.gather import Gathered
from contimg_comap_destripe.params import MapRequest
from contimg_comap_destripe.solve import Solution

__all__ = ["map_name", "write"]


def map_name(wanted: MapRequest) -> str:
    """Return ``{name}_band{BB}_feed{01-03-…}``."""
    return f"{wanted.name}_band{wanted.band:02d}_feed{'-'.join(f'{feed:02d}' for feed in sorted(wanted.feeds))}"


def write(path: Path, wanted: MapRequest, found: Gathered, solution: Solution, cards: dict[str, str]) -> None:
    """Write destriped map, NAIVE, HITS, RMS and the list of observations."""
    header = _header(wanted, found, solution, cards)
    with np.errstate(divide="ignore"):
        rms = 1.0 / np.sqrt(solution.weight)
    layers = {"": solution.sky, "NAIVE": solution.naive, "HITS": solution.hits.astype(float), "RMS": rms}
    hdus: list[fits.PrimaryHDU | fits.ImageHDU | fits.BinTableHDU] = []
    for name, values in layers.items():
        image = _image(values, found, 0.0 if name == "HITS" else np.nan)
        own = header.copy()
        own["BUNIT"] = "" if name == "HITS" else "K"
        own["BTYPE"] = {"": "Brightness", "HITS": "Samples"}.get(name, name.capitalize())
        hdus.append(fits.ImageHDU(image, own, name) if name else fits.PrimaryHDU(image, own))
    names = fits.Column("OBSID", "16A", array=np.array(found.obsids, "S16"))
    hdus.append(fits.BinTableHDU.from_columns([names], name="OBSIDS"))
    fits.HDUList(hdus).writeto(path)


def _image(values: NDArray[np.float64], found: Gathered, empty: float) -> NDArray[np.float32]:
    """Return hit pixels in their places."""
    hit = found.samples.hit_pixels
    ny, nx = found.grid.array_shape
    image = np.full(ny * nx, empty, np.float32)
    image[found.places[:hit]] = values
    return image.reshape(ny, nx)


def _header(wanted: MapRequest, found: Gathered, solution: Solution, cards: dict[str, str]) -> fits.Header:
    made = found.grid.to_header()
    begin, end = (Time(mjd, format="mjd", scale="utc") for mjd in found.mjd)
    made["TELESCOP"], made["INSTRUME"], made["OBJECT"] = "COMAP", "COMAP", found.source
    made["TIMESYS"], made["DATE-BEG"], made["DATE-END"] = "UTC", begin.isot, end.isot
    made["MJD-AVG"] = 0.5 * (begin.mjd + end.mjd)
    made["TEMPTYPE"] = ("RJ", "brightness temperature of Rayleigh-Jeans")
    if np.isfinite(found.frequency_ghz[0]):
        made["FREQ"] = (found.frequency_ghz[0] * 1e9, "[Hz] centre frequency")
        made["BANDWID"] = (found.frequency_ghz[1] * 1e9, "[Hz] bandwidth")
    made["BANDIDX"] = (wanted.band, "2 * band + bin")
    made["FEEDS"] = (",".join(map(str, sorted(wanted.feeds))), "feeds asked for")
    made["TODNAME"] = (wanted.tod, "time streams of level 2")
    made["OFFLEN"] = (wanted.offset_length, "samples of an offset")
    made["LAMBDA"] = (wanted.lambda_ridge, "ridge, relative to the median weight")
    made["CALMODEL"] = ("none", "calibration applied to the time streams")
    made["CGITER"] = (solution.iterations, "iterations")
    made["CGRESID"] = (solution.residual, "relative residual at the end")
    made["NOBS"] = (len(found.obsids), "observations with data")
    made["PIPEVER"] = (__version__, "version of Contimg")
    for name, value in cards.items():
        made[name] = value
    return made
