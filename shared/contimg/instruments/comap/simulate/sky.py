"""Where the dish points and what each feed sees there, by the frames of astropy, sample by sample."""

from __future__ import annotations

import astropy.units as u
import numpy as np
from astropy import constants
from astropy.coordinates import AltAz, EarthLocation, SkyCoord
from astropy.coordinates.erfa_astrom import ErfaAstromInterpolator, erfa_astrom
from astropy.time import Time
from numpy.typing import NDArray

from contimg.instruments.comap.simulate.config import Recording, SimulationConfig, Source
from contimg.instruments.comap.site import HEIGHT_M, LATITUDE_DEG, LONGITUDE_DEG, feed_offsets

__all__ = ["TAUA_GLON_GLAT", "Track", "galactic", "peak_k", "sky_k", "track"]

Floats = NDArray[np.float64]
Track = tuple[Floats, Floats]
"""Azimuth and elevation [deg]."""
TAUA_GLON_GLAT = (184.5575, -5.7844)
_SITE = EarthLocation.from_geodetic(LONGITUDE_DEG * u.deg, LATITUDE_DEG * u.deg, HEIGHT_M * u.m)
_COARSE_S = 5.0


def centre(config: SimulationConfig, recording: Recording) -> SkyCoord:
    """Return what a recording points at."""
    lb = TAUA_GLON_GLAT if recording.source == "TauA" else (config.centre_glon_deg, config.centre_glat_deg)
    return SkyCoord(lb[0] * u.deg, lb[1] * u.deg, frame="galactic")


def track(config: SimulationConfig, recording: Recording, mjd: Floats, scanning: NDArray[np.bool_]) -> Track:
    """Return azimuth and elevation of the boresight: on the source, scanning where it should."""
    coarse = np.append(np.arange(mjd[0], mjd[-1], _COARSE_S / 86400.0), mjd[-1])
    frame = AltAz(obstime=Time(coarse, format="mjd"), location=_SITE)
    there = centre(config, recording).transform_to(frame)
    az = np.interp(mjd, coarse, np.unwrap(there.az.rad)) * 180.0 / np.pi
    el = np.interp(mjd, coarse, there.alt.deg)
    t = (mjd - mjd[0]) * 86400.0
    if recording.mode == "lissajous":
        dx = 0.8 * np.sin(2 * np.pi * 0.045 * t)
        dy = 0.8 * np.sin(2 * np.pi * 0.0617 * t + 0.7 * recording.obsid)
    else:
        since = np.where(scanning, t, np.nan)
        rows = (t - np.nanmin(since)) / (np.nanmax(since) - np.nanmin(since))
        dx, dy = 0.4 * np.sin(2 * np.pi * t / 15.0), np.clip(rows, 0.0, 1.0) * 0.8 - 0.4
    moving = scanning.astype(float)
    return az + moving * dx / np.cos(np.radians(el)), el + moving * dy


def feed_track(feed: int, boresight: Track) -> Track:
    """Return azimuth and elevation of a feed."""
    x, y = feed_offsets().get(feed, (0.0, 0.0))
    az, el = boresight
    return np.asarray((az + x / np.cos(np.radians(el))) % 360.0), el + y


def galactic(mjd: Floats, pointing: Track) -> Track:
    """Return Galactic longitude and latitude of directions on the sky [deg]."""
    frame = AltAz(obstime=Time(mjd, format="mjd"), location=_SITE)
    with erfa_astrom.set(ErfaAstromInterpolator(30.0 * u.s)):  # microarcseconds, ten times faster
        found = SkyCoord(pointing[0] * u.deg, pointing[1] * u.deg, frame=frame).galactic
    return np.asarray(found.l.deg), np.asarray(found.b.deg)


def peak_k(source: Source, ghz: float) -> float:
    """Return the peak of a source in a beam-sized Gaussian, from its flux if it has one [K]."""
    if not source.flux_jy:
        return source.peak_k
    area = 2 * np.pi * np.radians(source.fwhm_arcmin / 60.0 / np.sqrt(8 * np.log(2))) ** 2
    per_k = 2 * constants.k_B.value * (ghz * 1e9) ** 2 / constants.c.value**2 * 1e26
    return float(source.flux_jy / (area * per_k))


def sky_k(config: SimulationConfig, where: Track, ghz: float) -> Floats:
    """Return the brightness of the sky at directions in Galactic coordinates [K_RJ]."""
    glon, glat = where
    found = config.plane_k * np.exp(-0.5 * (glat / config.plane_deg) ** 2)
    for source in config.sources:
        dx = ((glon - source.glon_deg + 180.0) % 360.0 - 180.0) * np.cos(np.radians(source.glat_deg))
        width = source.fwhm_arcmin / 60.0 / np.sqrt(8 * np.log(2))
        distance = dx**2 + (glat - source.glat_deg) ** 2
        found += peak_k(source, ghz) * np.exp(-0.5 * distance / width**2)
    return np.asarray(found)
