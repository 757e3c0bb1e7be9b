"""The simulated sky: which sources there are, where they stand at a time, how the beam attenuates them.

Apparent places come from the frames of astropy and the beam is written out here: nothing is taken from the code that
images, so an error there cannot hide behind the same error here.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
from astropy import units as u
from astropy.coordinates import ICRS, EarthLocation, HADec
from astropy.time import Time
from numpy.typing import NDArray
from scipy.special import j1

from contimg.errors import BadConfig
from contimg.instruments.dsa110.simulate.array import LIGHT
from contimg.instruments.dsa110.simulate.config import Drawn, SimulationConfig, Source
from contimg.radio.calibrators import Calibrator, calibrators, find
from contimg.radio.fluxscale import is_primary, perley_butler_2017

__all__ = ["REFERENCE_HZ", "airy", "directions", "fluxes", "instants", "observation_starts", "sky_of", "start_of"]

Floats = NDArray[np.float64]

REFERENCE_HZ = 1.4e9
"""Where flux densities of sources are given [Hz]."""

_LISTED_JY = 1.0
"""With a calibrator, other listed sources of the strip as bright as this are put in too."""

_TRIES = 2000


def instants(start: datetime, seconds: Any) -> Time:
    """Return UTC times some seconds after a start."""
    return Time(start.replace(tzinfo=None), scale="utc") + np.asarray(seconds, np.float64) * u.s


def start_of(config: SimulationConfig, site: EarthLocation) -> datetime:
    """Return the start of the first integration of the first observation.

    With a calibrator it is chosen such that its first apparent transit at or after ``config.start`` falls into the
    middle of observation ``config.transit_in``; else it is ``config.start``.
    """
    if config.calibrator is None:
        return config.start
    source = find(config.calibrator)
    place = ICRS(source.ra_deg * u.deg, source.dec_deg * u.deg)
    when = instants(config.start, 0.0)
    for step in range(5):
        angle = place.transform_to(HADec(obstime=when, location=site)).ha.wrap_at(180 * u.deg).deg
        left = (-angle) % 360 if step == 0 else -angle
        when = when + left / 360.98564736629 * u.day
    transit: datetime = when.to_datetime(timezone=config.start.tzinfo)
    middle = _offsets(config)[config.transit_in] + config.length_s / 2
    return transit - timedelta(seconds=middle)


def _offsets(config: SimulationConfig) -> list[float]:
    """Return the start of each observation after that of the first [s]."""
    step = config.cadence_s or config.length_s
    gaps = np.cumsum([config.restart_gap_s * (k in config.restarts and k > 0) for k in range(config.observations)])
    return [k * step + float(gaps[k]) for k in range(config.observations)]


def observation_starts(config: SimulationConfig, site: EarthLocation) -> list[datetime]:
    """Return the start of the first integration of every observation."""
    start = start_of(config, site)
    return [start + timedelta(seconds=offset) for offset in _offsets(config)]


def directions(sources: tuple[Source, ...], times: Time, site: EarthLocation) -> Floats:
    """Return apparent directions in the axes of ``Array.local_m``, shape (T, S, 3)."""
    count = len(sources)
    ra = np.broadcast_to([each.ra_deg for each in sources], (len(times), count))
    dec = np.broadcast_to([each.dec_deg for each in sources], (len(times), count))
    frame = HADec(obstime=times[:, None] + np.zeros(count) * u.s, location=site)
    place = ICRS(ra * u.deg, dec * u.deg).transform_to(frame)
    h, d = place.ha.rad, place.dec.rad
    return np.stack([np.cos(d) * np.cos(h), -np.cos(d) * np.sin(h), np.sin(d)], axis=-1)


def fluxes(sources: tuple[Source, ...], freq_hz: Floats) -> Floats:
    """Return flux densities, shape (S, F) [Jy]."""
    flux = np.array([each.flux_jy for each in sources])
    index = np.array([each.spectral_index for each in sources])
    return np.asarray(flux[:, None] * (freq_hz / REFERENCE_HZ) ** index[:, None])


def airy(cosine: Floats, freq_hz: Floats, dish_m: float) -> Floats:
    """Return the power beam (2 J1(x) / x)^2, x = pi D sin(theta) / lambda, shape of cosine + (F,)."""
    sine = np.sqrt(np.clip(1 - cosine**2, 0.0, 1.0))
    x = np.maximum(np.pi * dish_m / LIGHT * sine[..., None] * freq_hz, 1e-9)
    return np.asarray((2 * j1(x) / x) ** 2)


def sky_of(config: SimulationConfig, starts: list[datetime], site: EarthLocation) -> tuple[Source, ...]:
    """Return every source: the calibrator and its listed neighbours, those given, those drawn."""
    ends = Time([instants(starts[0], 0.0), instants(starts[-1], config.length_s)])
    meridian = HADec(
        ha=np.zeros(2) * u.hourangle, dec=np.full(2, config.dec_deg) * u.deg, obstime=ends, location=site
    ).transform_to(ICRS())
    west, east = meridian.ra.deg
    span = (east - west) % 360
    dec = float(meridian.dec.deg.mean())
    sources = list(config.sources)
    if config.calibrator is not None:
        sources = _listed(config.calibrator, west, span, dec) + sources
    if config.drawn is not None:
        sources += _draw(config.drawn, np.random.default_rng([config.seed, 1]), (west, span, dec), sources)
    if not sources:
        raise BadConfig("the simulated sky is empty; give 'sources', 'drawn' or 'calibrator'")
    return tuple(sources)


def _listed(name: str, west: float, span: float, dec: float) -> list[Source]:
    named = find(name)
    pad = 4.0 / np.cos(np.radians(dec))
    others = (
        each
        for each in calibrators()
        if each is not named
        and each.flux_jy >= _LISTED_JY
        and abs(each.dec_deg - dec) < 4.0
        and (each.ra_deg - west + pad) % 360 < span + 2 * pad
    )
    return [_as_source(each) for each in (named, *others)]


def _as_source(listed: Calibrator) -> Source:
    """Return a listed source; its spectrum is that of the flux scale, else flat as the list says nothing of it."""
    flux, index = listed.flux_jy, 0.0
    if is_primary(listed.name):
        near = np.array([0.99, 1.01]) * REFERENCE_HZ
        low, high = perley_butler_2017(listed.name, near)
        flux = float(perley_butler_2017(listed.name, REFERENCE_HZ))
        index = float(np.log(high / low) / np.log(near[1] / near[0]))
    return Source(name=listed.name, ra_deg=listed.ra_deg, dec_deg=listed.dec_deg, flux_jy=flux, spectral_index=index)


def _draw(
    drawn: Drawn, rng: np.random.Generator, strip: tuple[float, float, float], taken: list[Source]
) -> list[Source]:
    west, span, dec = strip
    margin = drawn.margin_deg / np.cos(np.radians(dec))
    vectors = [_vector(each.ra_deg, each.dec_deg) for each in taken]
    least = np.cos(np.radians(drawn.separation_arcmin / 60))
    made: list[Source] = []
    for _ in range(_TRIES + _TRIES * drawn.count):
        if len(made) == drawn.count:
            return made
        ra = (west - margin + rng.uniform() * (span + 2 * margin)) % 360
        place = dec + rng.uniform(-1, 1) * drawn.half_width_deg
        vector = _vector(ra, place)
        if vectors and (np.array(vectors) @ vector).max() > least:
            continue
        vectors.append(vector)
        index = rng.normal(drawn.mean_index, drawn.index_scatter)
        flux = _power_law(rng.uniform(), drawn)
        made.append(Source(name=f"S{len(made):04d}", ra_deg=ra, dec_deg=place, flux_jy=flux, spectral_index=index))
    raise BadConfig(
        f"drawn.count = {drawn.count} sources {drawn.separation_arcmin:g} arcmin apart do not fit into the strip; "
        "ask for fewer or a smaller drawn.separation_arcmin"
    )


def _vector(ra_deg: float, dec_deg: float) -> Floats:
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.array([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])


def _power_law(share: float, drawn: Drawn) -> float:
    """Return the flux density below which this share of dN/dS ~ S^slope lies."""
    power = drawn.slope + 1
    low, high = drawn.min_flux_jy, drawn.max_flux_jy
    if abs(power) < 1e-9:
        return float(low * (high / low) ** share)
    return float((low**power + share * (high**power - low**power)) ** (1 / power))
