"""The sky that a drift scan sees: reference catalogs, the calibrator, and the beam over both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from contimg.instruments import telescope_named
from contimg.radio import catalog
from contimg.radio.beams import drift_beam
from contimg.radio.calibrators import LIST_FREQ_HZ, Calibrator
from contimg.radio.coordinates import aberration, hour_angle_dec, lmn, separation
from contimg.radio.fluxscale import is_primary, perley_butler_2017
from contimg.radio.ms.read import Recording
from contimg.radio.telescopes import Telescope
from contimg_solve.model import Sky
from contimg_solve.params import SolveParams

__all__ = ["Sources", "apparent_dec_rad", "read_sources", "seen", "with_calibrator"]

_SAME_RAD = np.radians(30 / 3600)
_MJD_JD = 2400000.5


@dataclass(frozen=True)
class Sources:
    """Point sources, arrays of shape (source,)."""

    ra_rad: np.ndarray
    dec_rad: np.ndarray
    flux_jy: np.ndarray
    frequency_hz: np.ndarray
    index: np.ndarray
    """Flux ~ frequency ^ index."""

    def at(self, freqs_hz: np.ndarray) -> np.ndarray:
        """Return fluxes (source, chan) [Jy]."""
        ratio = np.asarray(freqs_hz)[None, :] / self.frequency_hz[:, None]
        return np.asarray(self.flux_jy[:, None] * ratio ** self.index[:, None])

    def take(self, keep: np.ndarray) -> Sources:
        """Return the sources of a mask of shape (source,) or an index array of shape (n,)."""
        return Sources(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


def read_sources(reference: Mapping[str, Path], spectral_index: float) -> Sources | None:
    """Read the first reference catalog (keys ``catalog:<name>``, by name); None if there is none.

    Raises
    ------
    BadConfig
        If it cannot be read or lacks a column.
    """
    names = sorted(name for name in reference if name.startswith("catalog:"))
    if not names:
        return None
    found = catalog.read(reference[names[0]])
    ra, dec, index = np.radians(found.ra_deg), np.radians(found.dec_deg), found.indices(spectral_index)
    return Sources(ra, dec, found.flux_jy, found.frequency_hz, index)


def with_calibrator(sources: Sources | None, calibrator: Calibrator, spectral_index: float) -> Sources:
    """Return the sources with the calibrator first and once.

    Its flux is that of the Perley-Butler 2017 scale if it is on it; else that of the catalog, which knows its
    frequency and perhaps a spectral index; else that of the calibrator list.
    """
    ra, dec = np.radians(calibrator.ra_deg), np.radians(calibrator.dec_deg)
    flux, frequency, index = calibrator.flux_jy, LIST_FREQ_HZ, spectral_index
    if is_primary(calibrator.name):
        edges = perley_butler_2017(calibrator.name, [0.95 * LIST_FREQ_HZ, 1.05 * LIST_FREQ_HZ])
        index = float(np.log(edges[1] / edges[0]) / np.log(1.05 / 0.95))
    one = Sources(*(np.array([value]) for value in (ra, dec, flux, frequency, index)))
    if sources is None or not len(sources.ra_rad):
        return one
    apart = separation(sources.ra_rad, sources.dec_rad, ra, dec)
    best = int(np.argmin(apart))
    if apart[best] < _SAME_RAD and not is_primary(calibrator.name):
        one = sources.take(np.array([best]))
    others = sources.take(apart >= _SAME_RAD)
    return Sources(*(np.concatenate([getattr(one, n), getattr(others, n)]) for n in one.__dataclass_fields__))


def apparent_dec_rad(recording: Recording, info: Mapping[str, object]) -> float:
    """Return the apparent declination the dishes point at: as stage convert noted it, else that of the phase centre."""
    noted = info.get("app_dec_deg")
    if isinstance(noted, int | float):
        return float(np.radians(noted))
    times = np.array([recording.mid_s / 86400 + _MJD_JD])
    _, dec = hour_angle_dec(recording.ra_rad, recording.dec_rad, times, telescope_named(recording.telescope))
    return float(dec[0])


def seen(sources: Sources, recording: Recording, dec_app_rad: float, params: SolveParams, first: int = 0) -> Sky | None:
    """Return the sky of a recording with the beam at each integration and channel; None if nothing is bright enough.

    Parameters
    ----------
    sources
        Candidates.
    dec_app_rad
        Where the dishes point on the meridian.
    first
        So many sources at the start are kept however faint (the calibrator).
    """
    telescope = telescope_named(recording.telescope)
    times, freqs = recording.times_s / 86400 + _MJD_JD, recording.freqs_hz
    middle = np.array([freqs.mean()])
    ends = times[[0, len(times) // 2, -1]]
    near = separation(sources.ra_rad, sources.dec_rad, recording.ra_rad, recording.dec_rad) < np.radians(6)
    near[:first] = True
    sources = sources.take(near)
    apparent = sources.at(middle)[:, 0] * _beam(sources, ends, middle, dec_app_rad, telescope, params).mean(axis=(0, 2))
    apparent[:first] = np.inf
    order = np.argsort(-apparent, kind="stable")[: params.max_sources]
    sources = sources.take(order[apparent[order] >= params.min_model_mjy * 1e-3])
    if not len(sources.ra_rad):
        return None
    beam = _beam(sources, times, freqs, dec_app_rad, telescope, params)
    flux = (beam * sources.at(freqs)[None]).astype(np.float32)
    scale = aberration(recording.ra_rad, recording.dec_rad, float(times.mean()))  # uvw are those of apparent directions
    return Sky(scale * lmn(sources.ra_rad, sources.dec_rad, recording.ra_rad, recording.dec_rad), flux)


def _beam(
    sources: Sources, times_jd: np.ndarray, freqs_hz: np.ndarray, dec: float, telescope: Telescope, params: SolveParams
) -> np.ndarray:
    if params.beam == "none":
        return np.ones((len(times_jd), len(sources.ra_rad), len(freqs_hz)))
    return np.asarray(
        drift_beam(params.beam, telescope.dish_m, sources.ra_rad, sources.dec_rad, times_jd, freqs_hz, dec, telescope)
    )
