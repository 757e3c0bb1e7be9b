"""The common restoring beam of a drift scan: a function of declination, array, weighting and band alone."""

from __future__ import annotations

import numpy as np
from astropy import units as u
from astropy.coordinates import Angle
from numpy.typing import NDArray

from contimg.instruments import telescope_named
from contimg.radio.coordinates import SIDEREAL_RATE
from contimg.radio.gaussians import ARCSEC, Beam
from contimg.radio.ms.read import Recording
from contimg_image.gridder import Gridder
from contimg_image.params import ImageParams
from contimg_image.restoring import fit_beam
from contimg_image.visibilities import Visibilities
from contimg_image.weighting import imaging_weights

__all__ = ["common_beam", "declination_bin", "synthetic_coverage"]

_BIN_DEG = 0.1
_BIN_OFFSET_DEG = 0.0037
"""Bins end off the round values that pointings have, so that rounding never parts recordings of one pointing."""
_FREQUENCIES = 64
_TURN_S = 20.0
"""Step in time of the coverage; together with the channels fine enough that the beam changes by less than 0.5 %."""
_PSF_SIZE = 256


def declination_bin(dec_deg: float) -> float:
    """Return the middle of the 0.1° bin that a declination falls into [deg]."""
    index = np.floor((dec_deg - _BIN_OFFSET_DEG) / _BIN_DEG)
    return float((index + 0.5) * _BIN_DEG + _BIN_OFFSET_DEG)


def synthetic_coverage(
    antennas_m: NDArray[np.float64],
    dec_rad: float,
    longitude_rad: float,
    freq_hz: NDArray[np.float64],
    length_s: float,
) -> Visibilities:
    """Return visibilities of weight 1 of all baselines around the meridian, noise and flags left aside.

    Parameters
    ----------
    antennas_m
        ITRF positions, shape (A, 3) [m].
    dec_rad
        Apparent declination [rad].
    longitude_rad
        East longitude of the array [rad].
    freq_hz
        Shape (F,).
    length_s
        Of the recording, half of it before the meridian [s].
    """
    steps = max(1, round(length_s / _TURN_S))
    angles = SIDEREAL_RATE / 86400.0 * length_s * ((np.arange(steps) + 0.5) / steps - 0.5) - longitude_rad
    first, second = (each.astype(np.int32) for each in np.triu_indices(len(antennas_m), 1))
    apart = antennas_m[second] - antennas_m[first]
    uvw = np.concatenate([_projected(apart, float(angle), dec_rad) for angle in angles])
    shape = (len(uvw), len(freq_hz))
    ones = np.ones(shape, np.float32)
    band = (float(freq_hz.min()), float(freq_hz.max()))
    first, second = np.tile(first, steps), np.tile(second, steps)
    return Visibilities(uvw, freq_hz, ones.astype(np.complex64), ones, np.zeros(len(uvw)), first, second, 1.0, band)


def _projected(apart_m: NDArray[np.float64], angle_rad: float, dec_rad: float) -> NDArray[np.float64]:
    """Return u, v, w, shape (B, 3) [m], of ITRF differences for a source at this Greenwich hour angle."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    # x to the source's hour circle at the equator, y to the east of it, z to the pole
    x, y, z = (apart_m @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])).T
    return np.stack([y, z * np.cos(dec_rad) - x * np.sin(dec_rad), z * np.sin(dec_rad) + x * np.cos(dec_rad)], axis=1)


def common_beam(recording: Recording, dec_app_rad: float, params: ImageParams) -> Beam:
    """Return the beam of the PSF of the whole array at this declination: its ellipse, or the circle that holds it.

    It is the same for all recordings of one pointing whatever was flagged: it depends on the listed antennas, the
    listed channels, the length in minutes, the 0.1° bin of the apparent declination, and cell, size and weighting.

    Parameters
    ----------
    recording
        Antennas, channels and times of the measurement set.
    dec_app_rad
        Apparent declination of the pointing [rad].
    params
        Cell, size, weighting and the form of the beam; a circle is rounded up to 1″.
    """
    dec = np.radians(declination_bin(float(np.degrees(dec_app_rad))))
    freq = np.linspace(recording.freqs_hz.min(), recording.freqs_hz.max(), min(_FREQUENCIES, len(recording.freqs_hz)))
    longitude = Angle(telescope_named(recording.telescope).longitude_deg * u.deg).rad
    length = 60.0 * max(1, round(recording.length_s / 60.0))
    coverage = synthetic_coverage(recording.positions_m, float(dec), float(longitude), freq, length)
    cell = params.cell_arcsec * ARCSEC
    weight = imaging_weights(coverage, params.size, cell, params.weighting, params.robust)
    psf = Gridder(coverage.uvw_m, freq, weight, min(params.size, _PSF_SIZE), cell).psf()
    ellipse = fit_beam(psf, cell)
    if params.beam == "ellipse":  # rounded: the last digits depend on the order of the antennas
        return Beam(round(ellipse.major_arcsec, 2), round(ellipse.minor_arcsec, 2), round(ellipse.pa_deg, 1))
    diameter = float(np.ceil(ellipse.major_arcsec - 1e-6))
    return Beam(diameter, diameter, 0.0)
