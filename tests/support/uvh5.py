"""Subband UVH5 files as another program might write them: own astrometry, own layout, integer flags.

The sky is a direct sum over point sources at astropy's HADec places; nothing is shared with the simulator or with
stage convert. Two layouts: ``legacy`` (spectral-window axis, one width, byte names, all stations, float32 uvw,
integer flags) and ``plain`` (no such axis, an array of widths, strings, used stations, float64 uvw, boolean flags).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import h5py
import numpy as np
from astropy import units as u
from astropy.coordinates import HADec, SkyCoord
from astropy.time import Time

from contimg.instruments import stations, telescope

__all__ = ["Recording", "channel_hz", "write_set"]

C = 299792458.0
RAW_MHZ = 250 / 8192


@dataclass(frozen=True)
class Recording:
    """What to write, and the truth about it."""

    start: str = "2026-01-25T22:26:00"
    """Centre of the first integration, UTC."""
    integrations: int = 3
    integration_s: float = 12.884902
    app_dec_deg: float = 16.15
    names: tuple[str, ...] = ("1", "9", "33", "47", "51", "71", "88", "101")
    channels: int = 4
    """Per subband; they fill it."""
    subbands: tuple[int, ...] = tuple(range(16))
    layout: str = "legacy"
    samples: bool = True
    """Whether sample counts are written; some programs leave them out."""
    offsets_deg: tuple[tuple[float, float, float], ...] = ((0.4, 0.3, 2.0),)
    """Sources: east and north of the meridian at mid-time (deg, ICRS) and flux (Jy)."""
    seed: int | None = None
    """Adds noise of 0.05 Jy when given."""

    @property
    def times(self) -> Time:
        return Time(self.start, scale="utc") + np.arange(self.integrations) * self.integration_s * u.s

    def centre(self) -> SkyCoord:
        """The meridian at mid-time, by astropy."""
        times = self.times
        mid = times[0] + (times[-1] - times[0]) / 2
        place = telescope("dsa110").location
        return SkyCoord(HADec(0 * u.hourangle, self.app_dec_deg * u.deg, obstime=mid, location=place)).icrs

    def sources(self) -> list[tuple[SkyCoord, float]]:
        centre = self.centre()
        found = []
        for east, north, flux in self.offsets_deg:
            dec = centre.dec + north * u.deg
            found.append((SkyCoord(centre.ra + east * u.deg / np.cos(dec), dec), flux))
        return found


def channel_hz(subband, channels):
    """Centres of the channels of a subband, descending; dsa110.md 1.2 with other averaging."""
    width = 384 // channels
    raw = 1024 + 384 * subband + width * np.arange(channels) + (width - 1) / 2
    return (1530 - raw * RAW_MHZ) * 1e6


def _equatorial(itrf):
    """ITRF -> x to hour angle 0 on the equator, y east, z pole."""
    lon = telescope("dsa110").location.lon.rad
    x, y, z = itrf.T
    return np.stack([x * np.cos(lon) + y * np.sin(lon), y * np.cos(lon) - x * np.sin(lon), z], 1)


@cache
def _delays(recording):
    """Delay of every source beyond the meridian's, metres, shape (sources, times, baselines)."""
    pairs = _rows(recording)
    places = _equatorial(np.array([s.itrf_m for s in _stations(recording)]))
    baselines = places[pairs[:, 1]] - places[pairs[:, 0]]
    dec = np.radians(recording.app_dec_deg)
    zero = baselines @ np.array([np.cos(dec), 0, np.sin(dec)])
    place = telescope("dsa110").location
    found = []
    for source, _ in recording.sources():
        apparent = source.transform_to(HADec(obstime=recording.times, location=place))
        ha, d = apparent.ha.rad, apparent.dec.rad
        direction = np.stack([np.cos(d) * np.cos(ha), -np.cos(d) * np.sin(ha), np.sin(d)])
        found.append((baselines @ direction).T - zero)
    return np.array(found)


def _stations(recording):
    official = {s.name: s for s in stations("dsa110")}
    return [official[name] for name in recording.names]


def _rows(recording):
    """Antenna index pairs in the order of the correlator: for i, for j <= i."""
    pairs = [(i, j) for i in range(len(recording.names)) for j in range(i + 1)]
    return np.array(pairs)


def _visibilities(recording, freq):
    pairs = _rows(recording)
    vis = np.zeros((recording.integrations, len(pairs), len(freq)), complex)
    for path, (_, _, flux) in zip(_delays(recording), recording.offsets_deg, strict=True):
        vis += flux * np.exp(2j * np.pi * path[:, :, None] * freq / C)
    vis[:, pairs[:, 0] == pairs[:, 1]] = 6500.0
    vis = np.repeat(vis.reshape(-1, len(freq), 1), 2, axis=2)
    if recording.seed is not None:
        rng = np.random.default_rng([recording.seed, int(freq[0])])
        vis += 0.05 * (rng.normal(size=vis.shape) + 1j * rng.normal(size=vis.shape))
    return vis.astype(np.complex64)


def write_set(directory: Path, recording: Recording = Recording(), jitter_s=0) -> list[Path]:
    """Write the subbands of a recording; the names carry the start, ``jitter_s`` later for odd subbands."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for subband in recording.subbands:
        stamp = (Time(recording.start) + (5 + jitter_s * (subband % 2)) * u.s).isot[:19]
        path = directory / f"{stamp}_sb{subband:02d}.hdf5"
        with h5py.File(path, "w") as file:
            freq = channel_hz(subband, recording.channels)
            _header(file.create_group("Header"), recording, freq)
            _data(file.create_group("Data"), recording, _visibilities(recording, freq))
        paths.append(path)
    return paths


def _header(head, recording, freq):
    legacy = recording.layout == "legacy"
    site = telescope("dsa110").location
    centre = np.array([axis.to_value(u.m) for axis in (site.x, site.y, site.z)])
    used = _stations(recording)
    pairs, count = _rows(recording), recording.integrations
    dec = np.radians(recording.app_dec_deg)
    places = _equatorial(np.array([s.itrf_m for s in used]))
    x, y, z = (places[pairs[:, 1]] - places[pairs[:, 0]]).T
    uvw = np.stack([y, z * np.cos(dec) - x * np.sin(dec), x * np.cos(dec) + z * np.sin(dec)], 1)
    numbers = np.array([s.number - 1 for s in used])
    every = stations("dsa110") if legacy else used
    rows = count * len(pairs)
    scalars = {"telescope_name": b"OVRO_MMA", "instrument": b"DSA", "object_name": b"search", "history": b"test"}
    for name, value in scalars.items():
        head[name] = np.bytes_(value) if legacy else value.decode()
    head["latitude"], head["longitude"], head["altitude"] = site.lat.deg, site.lon.deg, site.height.value
    head["phase_type"] = np.bytes_("drift")
    head["phase_center_app_dec"] = dec
    names = [s.name for s in every]
    head["antenna_names"] = np.array(names, "S4") if legacy else names
    head["antenna_numbers"] = [s.number - 1 for s in every]
    head["antenna_positions"] = np.array([s.itrf_m for s in every]) - centre
    head["antenna_diameters"] = np.full(len(every), 4.65)
    head["Nants_data"], head["Nants_telescope"] = len(used), len(every)
    head["Nbls"], head["Nblts"], head["Ntimes"] = len(pairs), rows, count
    head["Nfreqs"], head["Npols"], head["Nspws"] = len(freq), 2, 1
    head["spw_array"], head["polarization_array"] = [1], [-5, -6]
    head["ant_1_array"] = np.tile(numbers[pairs[:, 0]], count)
    head["ant_2_array"] = np.tile(numbers[pairs[:, 1]], count)
    head["uvw_array"] = np.tile(uvw, (count, 1)).astype(np.float32 if legacy else np.float64)
    head["time_array"] = np.repeat(recording.times.jd, len(pairs))
    length, width = recording.integration_s, float(abs(freq[1] - freq[0]))
    head["integration_time"] = np.full(rows, length) if legacy else length
    head["freq_array"] = freq[None] if legacy else freq
    head["channel_width"] = width if legacy else np.full(len(freq), width)
    extra = head.create_group("extra_keywords")
    extra["phase_center_dec"], extra["ha_phase_center"] = dec, 0.0


def _data(group, recording, vis):
    legacy = recording.layout == "legacy"
    vis = vis[:, None] if legacy else vis
    group["visdata"] = vis
    group["flags"] = np.zeros(vis.shape, np.int32 if legacy else bool)
    if recording.samples:
        group["nsamples"] = np.full(vis.shape, 96 if legacy else 1, np.float32)
