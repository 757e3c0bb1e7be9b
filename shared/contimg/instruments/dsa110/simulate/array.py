"""The antennas of a simulated array: places, baselines in the order of the correlator, an estimate of the beam."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.instruments import stations
from contimg.instruments.dsa110.simulate.config import RAW_PER_SUBBAND, SUBBANDS, SimulationConfig
from contimg.radio.telescopes import Telescope

__all__ = ["LIGHT", "Array", "array_of", "beam_fwhm_arcsec", "frequencies", "pointing_vector"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LIGHT = 299792458.0


@dataclass(frozen=True)
class Array:
    """A antennas that take data and their B baselines, autocorrelations included."""

    numbers: Ints
    """Station numbers from 1, shape (A,)."""
    local_m: Floats
    """Places in axes fixed to the meridian: x to (hour angle 0, Dec 0), y to the east, z to the pole; (A, 3) [m]."""
    first: Ints
    """Index of the first antenna of each baseline, shape (B,); never greater than the second."""
    second: Ints
    """Index of the second antenna of each baseline, shape (B,)."""

    def uvw(self, dec_rad: float) -> Floats:
        """Return second minus first antenna at hour angle 0 and a declination, shape (B, 3) [m]."""
        s, c = np.sin(dec_rad), np.cos(dec_rad)
        turn = np.array([[0, 1, 0], [-s, 0, c], [c, 0, s]])
        return np.asarray((self.local_m[self.second] - self.local_m[self.first]) @ turn.T)


def array_of(config: SimulationConfig, telescope: Telescope) -> Array:
    """Return the antennas of a configuration in the order of their numbers."""
    chosen = [
        each
        for each in stations(telescope.key)
        if (each.active if config.stations is None else each.number in config.stations)
    ]
    place = telescope.location
    centre = np.array([place.x.value, place.y.value, place.z.value])
    offset = np.array([each.itrf_m for each in chosen]) - centre
    s, c = np.sin(place.lon.rad), np.cos(place.lon.rad)
    local = offset @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]).T
    # The correlator: for i, for j <= i; the baseline is called j-i.
    second, first = np.tril_indices(len(chosen))
    return Array(np.array([each.number for each in chosen]), local, first, second)


def frequencies(channels_per_subband: int) -> Floats:
    """Return channel centres, shape (16, C) [Hz]; sb00 is the highest subband and channels descend.

    f = 1530 MHz - (1024 + 384 sb + w c + (w - 1) / 2) 250 / 8192 MHz with w = 384 / C correlator channels averaged.
    """
    width = RAW_PER_SUBBAND // channels_per_subband
    subband = np.arange(SUBBANDS)[:, None]
    raw = 1024 + RAW_PER_SUBBAND * subband + width * np.arange(channels_per_subband) + (width - 1) / 2
    return np.asarray((1530 - raw * (250 / 8192)) * 1e6)


def pointing_vector(dec_rad: float) -> Floats:
    """Return the direction of hour angle 0 in the axes of ``Array.local_m``, shape (3,)."""
    return np.array([np.cos(dec_rad), 0.0, np.sin(dec_rad)])


def beam_fwhm_arcsec(array: Array, dec_rad: float, freq_hz: Floats, size: int = 512) -> float:
    """Return the diameter of the circle that covers what the point spread function covers above one half [arcsec].

    One snapshot of the whole band, Briggs weighting with robustness 0 on a grid of ``size`` cells.
    """
    cross = array.first != array.second
    uv = (array.uvw(dec_rad)[cross, None, :2] * (freq_hz.ravel()[None, :, None] / LIGHT)).reshape(-1, 2)
    cell = 1 / (8 * np.hypot(*uv.T).max())
    u, v = np.round(uv * cell * size).astype(int).T
    weight = 1 / (1 + _cell_sums(u, v, np.ones(len(u)), size)[u % size, v % size] * _briggs(u, v, size))
    psf = np.fft.ifft2(_cell_sums(u, v, weight, size)).real
    above = int(np.count_nonzero(_main_lobe(psf / psf[0, 0])))
    return float(np.degrees(np.sqrt(above * 4 / np.pi) * cell) * 3600)


def _briggs(u: Any, v: Any, size: int) -> float:
    density = _cell_sums(u, v, np.ones(len(u)), size)
    return float(25 * density.sum() / (density**2).sum())


def _cell_sums(u: Any, v: Any, weight: Floats, size: int) -> Floats:
    grid = np.zeros((size, size))
    for sign in (1, -1):
        np.add.at(grid, (sign * u % size, sign * v % size), weight)
    return grid


def _main_lobe(psf: Floats) -> Any:
    """Return the half-power cells connected to cell (0, 0) by growing from it."""
    above = psf > 0.5
    lobe = np.zeros_like(above)
    lobe[0, 0] = True
    while True:
        grown = lobe.copy()
        for axis in (0, 1):
            for step in (1, -1):
                grown |= np.roll(lobe, step, axis)
        grown &= above
        if (grown == lobe).all():
            return lobe
        lobe = grown
