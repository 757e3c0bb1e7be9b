"""The packaged calibrator list and the transits of its sources over a fixed pointing."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

import numpy as np

from contimg.errors import BadConfig
from contimg.models.observation import CalibratorTransit
from contimg.radio.beams import power_beam
from contimg.radio.coordinates import SIDEREAL_RATE, hour_angle_dec, transit, utc
from contimg.radio.fluxscale import is_primary, perley_butler_2017, primary_names
from contimg.radio.telescopes import Telescope

__all__ = ["LIST_FREQ_HZ", "Calibrator", "calibrators", "find", "next_transits", "transits_inside"]

LIST_FREQ_HZ = 1.405e9
"""Where the 20 cm flux densities of the list are taken to hold, the middle of the DSA-110 band [Hz]."""

_SLACK_RAD = np.radians(1 / 60)  # apparent places move by < 0.5" per day; candidates are taken with 1' to spare


@dataclass(frozen=True)
class Calibrator:
    """One source of the list."""

    name: str
    """J2000 name of the list, ``1331+305``."""
    aliases: tuple[str, ...]
    """B1950 name, 3C name and the like."""
    ra_deg: float
    """ICRS right ascension [deg]."""
    dec_deg: float
    """ICRS declination [deg]."""
    flux_jy: float
    """At 20 cm: Perley-Butler 2017 for its sources, else the list [Jy]."""


@cache
def calibrators() -> tuple[Calibrator, ...]:
    """Return the 1041 sources of the VLA list that have a 20 cm flux density, in its order."""
    text = (files(__package__) / "data" / "vla_20cm.csv").read_text(encoding="utf-8")
    return tuple(_calibrator(row) for row in csv.DictReader(text.splitlines()))


def _calibrator(row: dict[str, str]) -> Calibrator:
    name = row["name"]
    flux = float(perley_butler_2017(name, LIST_FREQ_HZ)) if is_primary(name) else float(row["flux_jy"])
    names = dict.fromkeys(filter(None, (row["b1950"], row["other"], *primary_names(name))))
    aliases = tuple(alias for alias in names if alias != name)
    return Calibrator(name, aliases, float(row["ra_deg"]), float(row["dec_deg"]), flux)


@cache
def _by_name() -> dict[str, Calibrator]:
    # J2000 names last: where one is another's B1950 name, the J2000 name wins.
    names = {alias.upper(): each for each in calibrators() for alias in each.aliases}
    return names | {each.name.upper(): each for each in calibrators()}


def find(name: str) -> Calibrator:
    """Return a calibrator by any of its names, in any case.

    Raises
    ------
    BadConfig
        If none has the name; the message offers the nearest.
    """
    plain = name.strip().upper()
    for form in (plain, plain.removeprefix("J"), *(each.upper() for each in primary_names(name))):
        if form in _by_name():
            return _by_name()[form]
    nearest = _by_name()[get_close_matches(plain, _by_name(), n=1, cutoff=0.0)[0]].name
    raise BadConfig(f"calibrator {name!r} is not in the packaged 20 cm list; did you mean {nearest!r}?")


def transits_inside(
    start_jd: float,
    end_jd: float,
    dec_deg: float,
    telescope: Telescope,
    min_apparent_jy: float = 2.0,
    max_offset_deg: float = 1.0,
) -> tuple[CalibratorTransit, ...]:
    """Return the listed calibrators that cross the meridian inside a recording, in order of time.

    Parameters
    ----------
    start_jd, end_jd
        UTC Julian dates of the recording, both inclusive, at most a sidereal day apart [d].
    dec_deg
        Apparent declination of the pointing [deg].
    telescope
        The observer; its beam model attenuates the flux.
    min_apparent_jy
        Least flux density times beam at the transit [Jy].
    max_offset_deg
        Greatest difference between the apparent declination of the source and the pointing, inclusive [deg].
    """
    found = [
        _at_transit(source, start_jd, dec_deg, telescope)
        for source in _candidates(start_jd, end_jd, dec_deg, telescope, min_apparent_jy, max_offset_deg)
    ]
    kept = [
        record
        for record, when, offset in found
        if when <= end_jd and offset <= max_offset_deg and record.apparent_flux_jy >= min_apparent_jy
    ]
    return tuple(sorted(kept, key=lambda record: record.transit))


def next_transits(
    after_jd: float,
    dec_deg: float,
    telescope: Telescope,
    min_apparent_jy: float = 2.0,
    max_offset_deg: float = 1.0,
) -> tuple[CalibratorTransit, ...]:
    """Return the next transit of each usable calibrator within a sidereal day after a time, in order of time.

    Parameters are those of `transits_inside`.
    """
    day = 2 * np.pi / SIDEREAL_RATE
    return transits_inside(after_jd, after_jd + day, dec_deg, telescope, min_apparent_jy, max_offset_deg)


def _candidates(
    start_jd: float, end_jd: float, dec_deg: float, telescope: Telescope, min_jy: float, max_offset_deg: float
) -> list[Calibrator]:
    """Return a superset of the answer from the apparent places at the start, all sources at once."""
    listed = calibrators()
    ra, dec = np.radians([(each.ra_deg, each.dec_deg) for each in listed]).T
    hour_angle, dec_app = hour_angle_dec(ra, dec, start_jd, telescope)
    until = (-hour_angle + _SLACK_RAD) % (2 * np.pi) - _SLACK_RAD  # rotation left until the transit
    near = np.abs(dec_app - np.radians(dec_deg)) <= np.radians(max_offset_deg) + _SLACK_RAD
    flux = np.array([each.flux_jy for each in listed])
    bright = (flux >= min_jy) & (flux > 0)  # the list has 0.00 for 13 sources: too faint at 20 cm, or not measured
    soon = until <= (end_jd - start_jd) * SIDEREAL_RATE + _SLACK_RAD
    return [listed[i] for i in np.flatnonzero(near & bright & soon)]


def _at_transit(
    source: Calibrator, after_jd: float, dec_deg: float, telescope: Telescope
) -> tuple[CalibratorTransit, float, float]:
    """Return the record, the time (JD) and the declination offset (deg) of the next transit."""
    ra, dec = np.radians(source.ra_deg), np.radians(source.dec_deg)
    when = transit(ra, dec, after_jd, telescope)
    _, dec_app = hour_angle_dec(ra, dec, when, telescope)
    offset = abs(float(np.degrees(dec_app)) - dec_deg)
    response = float(power_beam(telescope.beam, np.radians(offset), LIST_FREQ_HZ, telescope.dish_m))
    record = CalibratorTransit(
        name=source.name,
        ra_deg=source.ra_deg,
        dec_deg=source.dec_deg,
        flux_jy=source.flux_jy,
        apparent_flux_jy=source.flux_jy * response,
        transit=utc(when),
    )
    return record, when, offset
