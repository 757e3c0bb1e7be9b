"""SystemTemperature: gain and system temperature from the vane, for every event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.errors import BadInput
from contimg.instruments.comap.modules import SystemTemperatureArgs
from contimg.instruments.comap.site import AMBIENT_VANE, TCMB_K
from contimg.models.quality import judge
from contimg.radio.level1 import Level1
from contimg_comap_level2.work import Module, Work

__all__ = ["HK_LATE_S", "Event", "SystemTemperature", "events_of", "vane_gain"]

Floats = NDArray[np.float64]
HK_LATE_S = 0.6
"""The clock of the housekeeping is ahead of the spectrometer's by this."""
_VANE, _FRAME = "hk/antenna0/vane", "hk/array/frame"
_IN_DEG, _OUT_DEG = 4.0, 180.0
"""Hot: within this of the smallest angle. Cold: beyond the second."""
_EDGE = 25
"""Samples left out at both ends of a hot or cold stretch: the angle is known every 0.5 s only."""
_LEAST = 50
"""Samples that a mean needs."""
_HOT_C = (-20.0, 50.0)
KELVIN = 273.15


def vane_gain(hot: Floats, cold: Floats, t_hot: float, t_cold: float) -> tuple[Floats, Floats]:
    """Return system temperature and gain.

    Y = hot / cold, T = (t_hot − Y t_cold) / (Y − 1), G = (hot − cold) / (t_hot − t_cold).

    Parameters
    ----------
    hot, cold
        Power with the vane in and out, any shape [counts].
    t_hot, t_cold
        Temperatures of vane and sky [K].

    Returns
    -------
    tuple of ndarray
        Temperature [K] and gain [counts/K], of the same shape; NaN where the vane gives no more power than the sky.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        y = np.where((cold > 0) & (hot > cold), hot / cold, np.nan)
        t_sys = (t_hot - y * t_cold) / (y - 1.0)
        gain = np.where(np.isfinite(y), (hot - cold) / (t_hot - t_cold), np.nan)
    return t_sys, gain


@dataclass(frozen=True)
class Event:
    """One calibration."""

    start: int
    stop: int
    hot: NDArray[np.bool_]
    """Which of its samples have the vane in, (time,), mask."""
    cold: NDArray[np.bool_]
    """… and out."""


def _runs(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return first and one past last index of each run of True, (run, 2)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]])))
    return edges.reshape(-1, 2)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Leave out the ends of each run."""
    found = np.zeros_like(mask)
    for start, stop in _runs(mask):
        found[start + _EDGE : max(start + _EDGE, stop - _EDGE)] = True
    return found


def _nearest(utc: Floats, values: Floats, mjd: Floats, outside: float) -> Floats:
    """Return the value whose time is nearest, in the spectrometer's clock; ``outside`` where there is none."""
    own = utc - HK_LATE_S / 86400.0
    middle = 0.5 * (own[1:] + own[:-1])
    found = np.asarray(values[np.searchsorted(middle, mjd)], np.float64)
    slack = 1.0 / 86400.0
    found[(mjd < own[0] - slack) | (mjd > own[-1] + slack)] = outside
    return found


def events_of(level1: Level1) -> list[Event]:
    """Return the vane events of a file.

    Raises
    ------
    BadInput
        If there is none, or none with both states of the vane.
    """
    mjd = level1.mjd
    features = _nearest(level1.array(f"{_FRAME}/utc"), level1.array(f"{_FRAME}/features"), mjd, -1.0)
    angle = _nearest(level1.array(f"{_VANE}/utc"), level1.array(f"{_VANE}/angle") / 100.0, mjd, np.nan)
    calibrating = (np.maximum(features, 0).astype(np.int64) >> AMBIENT_VANE) & 1 == 1
    found = []
    for start, stop in _runs(calibrating).tolist():
        own = angle[start:stop]
        hot, cold = _inner(own < np.nanmin(own) + _IN_DEG), _inner(own > _OUT_DEG)
        if min(hot.sum(), cold.sum()) >= _LEAST:
            found.append(Event(start, stop, hot, cold))
    if not found:
        words = "feature 13 (ambient load) never set" if not calibrating.any() else "no event shows the vane in and out"
        raise BadInput(f"{level1.path}: {_FRAME}/features, {_VANE}/angle: {words}; no gain can be found, leave it out")
    return found


def hot_temperature(level1: Level1) -> float:
    """Return the temperature of the vane, the mean of Tshroud [K].

    Raises
    ------
    BadInput
        If it is no temperature of a day at the site.
    """
    celsius = float(np.mean(level1.array(f"{_VANE}/Tshroud"))) * 0.01
    if not _HOT_C[0] < celsius < _HOT_C[1]:
        raise BadInput(f"{level1.path}: {_VANE}/Tshroud is {celsius:.2f} °C, not {_HOT_C}; leave the observation out")
    return celsius + KELVIN


class SystemTemperature(Module[SystemTemperatureArgs]):
    """Every event counts; scans get the gain interpolated linearly in time."""

    def run(self, work: Work) -> None:
        """Measure and write ``level2/vane``."""
        level1 = work.level1
        t_hot = hot_temperature(level1)
        events = events_of(level1)
        rows, bands, channels, _ = level1.shape
        hot, cold = (np.full((len(events), rows, bands, channels), np.nan) for _ in range(2))
        for number, event in enumerate(events):
            _means(level1, event, hot[number], cold[number])
        t_cold = TCMB_K if self.args.t_cold == "atmosphere" else self.args.t_cold
        work.t_sys, work.gain = vane_gain(hot, cold, t_hot, t_cold)
        if self.args.t_cold == "atmosphere":
            work.hot_above_k, work.event_airmass = t_hot - TCMB_K, _airmass(level1, events)
        mjd = level1.mjd
        work.events = np.array([0.5 * (mjd[event.start] + mjd[event.stop - 1]) for event in events])
        work.out.put("level2/vane/system_temperature", work.t_sys, "K")
        work.out.put("level2/vane/gain", work.gain, "counts/K")
        work.out.put("level2/vane/mjd", work.events, "d")
        on_sky = work.t_sys[:, [row for row, _ in work.rows]]
        median = float(np.nanmedian(on_sky)) if np.isfinite(on_sky).any() else None
        work.figures.append(judge("level2.t_sys", median, "K", degraded_below=10.0, degraded_above=100.0))
        work.figures.append(judge("level2.vane_events", float(len(events))))


def _airmass(level1: Level1, events: list[Event]) -> Floats:
    """Return 1 / sin(elevation) of every feed in the middle of each event, (event, row)."""
    middle = [(event.start + event.stop) // 2 for event in events]
    elevation = np.stack([level1.pointing(row)[1][middle] for row in range(level1.shape[0])], axis=1)
    return np.asarray(1.0 / np.sin(np.radians(elevation)))


def _means(level1: Level1, event: Event, hot: Floats, cold: Floats) -> None:
    """Fill means of an event, (row, band, channel) each."""
    rows, bands, channels, _ = level1.shape
    buffer = np.empty(channels * (event.stop - event.start), np.float32)
    with np.errstate(invalid="ignore"):
        for row in range(rows):
            for band in range(bands):
                power = level1.read(buffer, row, band, event.start, event.stop)
                hot[row, band] = _mean(power[:, event.hot])
                cold[row, band] = _mean(power[:, event.cold])


def _mean(power: NDArray[np.float32]) -> Floats:
    """Return the mean over time without what is not finite, (channel,); NaN if nothing is."""
    good = np.isfinite(power)
    count = good.sum(axis=1)
    total = np.where(good, power, 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))
