"""Synthetic restored images: point sources seen through a beam, with noise that has the beam's correlation.

Written with numpy and astropy's WCS alone; shares nothing with the stages that are tested with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from contimg.models.manifest import Manifest, Product
from contimg.stage import Run

__all__ = ["Sky", "beam_noise", "image_run", "make_tile", "manifest", "sin_wcs", "tile_pb", "write_fits"]

FWHM = 2.354820045


@dataclass(frozen=True)
class Sky:
    """Point sources."""

    ra_deg: np.ndarray
    dec_deg: np.ndarray
    flux_jy: np.ndarray


def sin_wcs(ra, dec, cell_arcsec, shape):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---SIN", "DEC--SIN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.cdelt = [-cell_arcsec / 3600, cell_arcsec / 3600]
    wcs.wcs.crpix = [shape[1] // 2 + 1, shape[0] // 2 + 1]
    wcs.wcs.cunit = ["deg", "deg"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return wcs


def beam_noise(rng, shape, rms, fwhm_pixels):
    """White noise convolved with the beam, of known standard deviation."""
    sigma = fwhm_pixels / FWHM
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None, :]
    taper = np.exp(-2 * (np.pi * sigma) ** 2 * (fx**2 + fy**2))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * taper, shape)
    kernel = np.fft.irfft2(taper, shape)
    return rms * noise / np.sqrt((kernel**2).sum())


def tile_pb(wcs, shape, fwhm_deg):
    """A Gaussian primary beam of the direction cosines."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    l = (x + 1 - wcs.wcs.crpix[0]) * wcs.wcs.cdelt[0]
    m = (y + 1 - wcs.wcs.crpix[1]) * wcs.wcs.cdelt[1]
    return np.exp(-4 * np.log(2) * (l**2 + m**2) / fwhm_deg**2)


def make_tile(rng, sky, wcs, shape, *, rms, beam_arcsec, pb_fwhm_deg):
    """Return image (attenuated by the beam, with noise) and pb."""
    cell = wcs.wcs.cdelt[1] * 3600
    sigma = beam_arcsec / FWHM / cell
    image = beam_noise(rng, shape, rms, beam_arcsec / cell) if rms else np.zeros(shape)
    px, py = wcs.wcs_world2pix(sky.ra_deg, sky.dec_deg, 0)
    half = int(6 * sigma) + 2
    for x0, y0, flux in zip(px, py, sky.flux_jy, strict=True):
        if not (np.isfinite(x0) and -half < x0 < shape[1] + half and -half < y0 < shape[0] + half):
            continue
        l = (x0 + 1 - wcs.wcs.crpix[0]) * wcs.wcs.cdelt[0]
        m = (y0 + 1 - wcs.wcs.crpix[1]) * wcs.wcs.cdelt[1]
        gain = np.exp(-4 * np.log(2) * (l**2 + m**2) / pb_fwhm_deg**2)
        ys = slice(max(0, int(y0) - half), min(shape[0], int(y0) + half + 1))
        xs = slice(max(0, int(x0) - half), min(shape[1], int(x0) + half + 1))
        y, x = np.mgrid[ys, xs]
        image[ys, xs] += flux * gain * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2))
    return image.astype(np.float32), tile_pb(wcs, shape, pb_fwhm_deg).astype(np.float32)


def write_fits(path, data, wcs, beam_arcsec):
    header = wcs.to_header()
    header["BUNIT"] = "Jy/beam"
    header["BMAJ"] = header["BMIN"] = beam_arcsec / 3600
    header["BPA"] = 0.0
    header["BEAMMOD"] = "gaussian"
    header["DATE-BEG"] = "2026-01-25T22:00:13"
    header["DATE-END"] = "2026-01-25T22:05:22"
    for axis, name, value, step in ((3, "STOKES", 1.0, 1.0), (4, "FREQ", 1.405e9, 1.9e8)):
        header[f"CTYPE{axis}"], header[f"CRVAL{axis}"], header[f"CDELT{axis}"] = name, value, step
        header[f"CRPIX{axis}"] = 1.0
    fits.PrimaryHDU(np.asarray(data, np.float32)[None, None], header).writeto(path, overwrite=True)


def manifest(task, stage, products, info=None, *, unit="u", figures=(), date="2026-01-25", **more):
    moment = datetime(2026, 1, 26, 1, 2, 3, tzinfo=UTC)
    return Manifest(
        task=task,
        stage=stage,
        recipe_version=1,
        version="0.1.0",
        unit=unit,
        group="g1",
        date=date,
        params={},
        products=tuple(products),
        figures=tuple(figures),
        info=info or {},
        attempt=1,
        host="h",
        started=moment,
        finished=moment,
        **more,
    )


def image_run(directory: Path, number: int, image, pb, wcs, *, rms, beam_arcsec):
    """Write a committed run of stage image as far as a mosaic reads it."""
    directory.mkdir(parents=True)
    write_fits(directory / "i.fits", image, wcs, beam_arcsec)
    write_fits(directory / "pb.fits", pb, wcs, beam_arcsec)
    products = [
        Product(type="image", id=f"t{number}", path="i.fits", role="fits"),
        Product(type="image", id=f"t{number}", path="pb.fits", role="pb"),
    ]
    info = {"rms_jy": rms, "freq_hz": [1.31e9, 1.5e9, 48]}
    return Run(directory, manifest(f"{number:032x}", "image", products, info, unit=f"t{number}"))
