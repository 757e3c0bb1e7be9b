"""The FITS header of an image: four axes, times, beam, origin."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from contimg import __version__
from contimg.instruments import telescope_named
from contimg.radio.coordinates import utc
from contimg.radio.gaussians import Beam
from contimg.radio.ms.read import Recording
from contimg_image.params import ImageParams
from contimg_image.visibilities import Visibilities

__all__ = ["celestial", "image_header", "tag"]

_MJD = 2400000.5


def tag(params: ImageParams) -> str:
    """Return the part of a file name that tells images of one recording apart, like ``c3as_n4800_r0.0_I``."""
    weighting = f"r{params.robust:.1f}" if params.weighting == "briggs" else params.weighting[:3]
    return f"c{params.cell_arcsec:g}as_n{params.size}_{weighting}_I"


def image_header(
    recording: Recording, vis: Visibilities, params: ImageParams, beam: Beam, extra: dict[str, Any] | None = None
) -> fits.Header:
    """Return the header of the restored image; other products change BUNIT and leave the beam out.

    Parameters
    ----------
    recording, vis
        Phase centre, telescope, times, band.
    params
        Cell and size.
    beam
        Restoring beam.
    extra
        Further cards, keyword to value or (value, comment).
    """
    cell = params.cell_arcsec / 3600
    centre = params.size // 2 + 1.0
    header = fits.Header()
    axes: list[tuple[str, float, float, float, str]] = [
        ("RA---SIN", centre, float(np.degrees(recording.ra_rad)) % 360.0, -cell, "deg"),
        ("DEC--SIN", centre, float(np.degrees(recording.dec_rad)), cell, "deg"),
        ("STOKES", 1.0, 1.0, 1.0, ""),
        ("FREQ", 1.0, vis.mean_freq_hz, vis.band_hz[1] - vis.band_hz[0], "Hz"),
    ]
    for number, values in enumerate(axes, start=1):
        for key, value in zip(("CTYPE", "CRPIX", "CRVAL", "CDELT", "CUNIT"), values, strict=True):
            header[f"{key}{number}"] = value
    if vis.slope != (0.0, 0.0):
        header["PV2_1"], header["PV2_2"] = (-vis.slope[0], "slant of the projection"), -vis.slope[1]
    header["LONPOLE"], header["LATPOLE"] = 180.0, header["CRVAL2"]
    header["RADESYS"], header["SPECSYS"] = "ICRS", "TOPOCENT"
    header["RESTFRQ"] = (vis.mean_freq_hz, "[Hz] weighted mean, no spectral line")
    header["BUNIT"], header["BTYPE"] = "Jy/beam", "Intensity"
    header["BMAJ"], header["BMIN"], header["BPA"] = beam.major_arcsec / 3600, beam.minor_arcsec / 3600, beam.pa_deg
    header["TELESCOP"], header["OBJECT"] = telescope_named(recording.telescope).casa_name, recording.source
    for key, value in _times(vis).items():
        header[key] = value
    header["BEAMMOD"] = (params.beam_model, "power beam of the antennas")
    header["PIPEVER"] = (__version__, "version of Contimg")
    for key, card in (extra or {}).items():
        header[key] = card
    return header


def _times(vis: Visibilities) -> dict[str, str | float]:
    start, end = vis.span_jd
    share = vis.weight.sum(axis=1, dtype=np.float64)
    mean = start + float((share * (vis.time_jd - start)).sum() / share.sum())
    cards: dict[str, str | float] = {"TIMESYS": "UTC"}
    for word, jd in (("OBS", start), ("BEG", start), ("AVG", mean), ("END", end)):
        cards[f"DATE-{word}"] = utc(jd).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        cards[f"MJD-{word}"] = jd - _MJD
    return cards


def celestial(header: fits.Header) -> WCS:
    """Return the celestial coordinates of a header."""
    return WCS(header).celestial
