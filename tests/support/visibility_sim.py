"""Measurement sets of point sources by direct summation, for tests of the imager.

Written with numpy and python-casacore alone; shares nothing with the stages that are tested with it. The Earth is a
rigid ball that turns evenly: antenna positions are turned about the pole, and a source at unit vector s gives

    V_12 = E_1 conj(E_2) = S exp(2 pi i (s - s_0) . (r_1 - r_2) nu / c)

because the antenna that is nearer to the source is reached earlier. UVW of a measurement set is r_1 - r_2. Aberration
makes the angles between sources a little longer or shorter; how much is taken from astropy's GCRS.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from astropy import units as u
from astropy.coordinates import GCRS, SkyCoord
from astropy.time import Time
from casacore.tables import default_ms, makearrcoldesc, maketabdesc, required_ms_desc, table

__all__ = ["Observation", "Source", "random_array", "seen_longer", "simulate", "unit_vector", "write_ms"]

LIGHT = 299792458.0
MJD = 2400000.5


@dataclass(frozen=True)
class Source:
    """A point source."""

    ra_deg: float
    dec_deg: float
    flux_jy: float


@dataclass
class Observation:
    """What to simulate; every field may be changed before it is written."""

    antennas_m: np.ndarray
    telescope: str = "VLA"
    ra_deg: float = 150.0
    dec_deg: float = 34.0
    freq_hz: np.ndarray = field(default_factory=lambda: 1.4e9 + 2e6 * np.arange(4))
    times_jd: np.ndarray = field(default_factory=lambda: 2460700.5 + np.arange(8) * 300 / 86400)
    interval_s: float = 10.0
    sources: tuple[Source, ...] = ()
    noise_jy: float = 0.0
    """Of the real part of one visibility of one correlation."""
    attenuation: np.ndarray | None = None
    """Beam, shape (times, sources, frequencies)."""
    frame: str = "ICRS"
    hour_angle_rad: np.ndarray | None = None
    """Of the phase centre, shape (times,); else from -1 h on."""
    seed: int = 1


def random_array(count, radius_m, latitude_deg=34.0, seed=3):
    """Positions of antennas on flat ground at longitude 0, shape (count, 3)."""
    rng = np.random.default_rng(seed)
    east, north = rng.normal(size=(2, count)) * radius_m / 2
    up = rng.normal(size=count) * 2
    lat = np.radians(latitude_deg)
    x = 6.37e6 * np.cos(lat) - north * np.sin(lat) + up * np.cos(lat)
    z = 6.37e6 * np.sin(lat) + north * np.cos(lat) + up * np.sin(lat)
    return np.stack([x, east, z], axis=1)


def unit_vector(ra_deg, dec_deg):
    ra, dec = np.radians(ra_deg), np.radians(dec_deg)
    return np.stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)], axis=-1)


def _turned(obs):
    """Antennas in the celestial frame at each time, shape (times, antennas, 3)."""
    seconds = (obs.times_jd - obs.times_jd[0]) * 86400
    hour_angle = obs.hour_angle_rad
    if hour_angle is None:
        hour_angle = -np.pi / 12 + 7.2921159e-5 * seconds
    longitude = np.arctan2(obs.antennas_m[:, 1].mean(), obs.antennas_m[:, 0].mean())
    angle = hour_angle + np.radians(obs.ra_deg) - longitude
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x, y, z = obs.antennas_m.T
    return np.stack([cos * x - sin * y, sin * x + cos * y, np.broadcast_to(z, (len(angle), len(z)))], axis=-1)


def seen_longer(obs):
    """By how much small angles about the phase centre appear longer than in the ICRS, at the first time."""
    centre = SkyCoord(obs.ra_deg, obs.dec_deg, unit="deg")
    frame = GCRS(obstime=Time(obs.times_jd[0], format="jd", scale="utc"))
    sides = [centre.directional_offset_by(angle * u.deg, 1 * u.deg).transform_to(frame) for angle in (0, 90, 180, 270)]
    return float(np.mean([side.separation(centre.transform_to(frame)).deg for side in sides]))


def simulate(obs):
    """Return uvw (rows, 3), data (rows, channels), antenna1, antenna2, time of each row; rows in time order."""
    first, second = np.triu_indices(len(obs.antennas_m), 1)
    places = _turned(obs)
    baseline = (places[:, first] - places[:, second]).reshape(-1, 3)
    ra = np.radians(obs.ra_deg)
    centre = unit_vector(obs.ra_deg, obs.dec_deg)
    east = np.array([-np.sin(ra), np.cos(ra), 0.0])
    uvw = baseline @ np.stack([east, np.cross(centre, east), centre]).T
    count, scale = len(first), seen_longer(obs)
    data = np.zeros((len(uvw), len(obs.freq_hz)), complex)
    for k, source in enumerate(obs.sources):
        path = scale * baseline @ (unit_vector(source.ra_deg, source.dec_deg) - centre)
        beam = 1.0 if obs.attenuation is None else np.repeat(obs.attenuation[:, k], count, axis=0)
        data += source.flux_jy * beam * np.exp(2j * np.pi * path[:, None] * obs.freq_hz / LIGHT)
    times = len(obs.times_jd)
    return uvw, data, np.tile(first, times), np.tile(second, times), np.repeat(obs.times_jd, count)


def write_ms(obs, path):
    """Write the observation as a measurement set with columns DATA, FLAG, WEIGHT; return its path."""
    uvw, data, first, second, times = simulate(obs)
    rng = np.random.default_rng(obs.seed)
    shape = (*data.shape, 2)
    noise = rng.normal(size=(2, *shape)) * obs.noise_jy
    column = maketabdesc(makearrcoldesc("DATA", 0j, ndim=2, valuetype="complex"))
    main = default_ms(str(path), required_ms_desc("") | column)
    main.addrows(len(uvw))
    main.putcol("DATA", (data[..., None] + noise[0] + 1j * noise[1]).astype(np.complex64))
    main.putcol("FLAG", np.zeros(shape, bool))
    main.putcol("UVW", uvw)
    main.putcol("ANTENNA1", first.astype(np.int32))
    main.putcol("ANTENNA2", second.astype(np.int32))
    for name in ("TIME", "TIME_CENTROID"):
        main.putcol(name, (times - MJD) * 86400)
    for name in ("INTERVAL", "EXPOSURE"):
        main.putcol(name, np.full(len(times), obs.interval_s))
    sigma = obs.noise_jy or 1.0
    main.putcol("WEIGHT", np.full((len(times), 2), 1 / sigma**2, np.float32))
    main.putcol("SIGMA", np.full((len(times), 2), sigma, np.float32))
    main.close()
    _subtables(obs, str(path))
    return Path(path)


def _subtables(obs, path):
    antennas, channels = len(obs.antennas_m), len(obs.freq_hz)
    width = np.full(channels, obs.freq_hz[1] - obs.freq_hz[0] if channels > 1 else 1e6)
    names = [str(number + 1) for number in range(antennas)]
    _fill(path, "ANTENNA", antennas, NAME=names, STATION=names, POSITION=obs.antennas_m, MOUNT=["ALT-AZ"] * antennas)
    _fill(path, "ANTENNA", 0, DISH_DIAMETER=np.full(antennas, 25.0), TYPE=["GROUND-BASED"] * antennas)
    centre = np.radians([[[obs.ra_deg, obs.dec_deg]]])
    _fill(path, "FIELD", 1, NAME=["test field"], PHASE_DIR=centre, DELAY_DIR=centre, REFERENCE_DIR=centre)
    with table(path + "/FIELD", readonly=False, ack=False) as field_table:
        for name in ("PHASE_DIR", "DELAY_DIR", "REFERENCE_DIR"):
            kind = field_table.getcolkeyword(name, "MEASINFO") | {"Ref": obs.frame}
            field_table.putcolkeyword(name, "MEASINFO", kind)
    span = np.array([[obs.times_jd.min() - MJD, obs.times_jd.max() - MJD]]) * 86400
    _fill(path, "OBSERVATION", 1, TELESCOPE_NAME=[obs.telescope], OBSERVER=["test"], TIME_RANGE=span)
    circular = [5, 8] if obs.telescope == "VLA" else [9, 12]
    product = np.array([[[0, 0], [1, 1]]], np.int32)
    _fill(path, "POLARIZATION", 1, NUM_CORR=[2], CORR_TYPE=np.array([circular], np.int32), CORR_PRODUCT=product)
    _fill(path, "DATA_DESCRIPTION", 1, SPECTRAL_WINDOW_ID=[0], POLARIZATION_ID=[0])
    _fill(path, "SPECTRAL_WINDOW", 1, NUM_CHAN=[channels], CHAN_FREQ=obs.freq_hz[None], CHAN_WIDTH=width[None])
    _fill(path, "SPECTRAL_WINDOW", 0, EFFECTIVE_BW=width[None], RESOLUTION=width[None], NAME=["band"])
    frame = {"REF_FREQUENCY": [float(obs.freq_hz[0])], "TOTAL_BANDWIDTH": [float(width.sum())], "MEAS_FREQ_REF": [5]}
    _fill(path, "SPECTRAL_WINDOW", 0, **frame)
    feeds = ["R", "L"] if obs.telescope == "VLA" else ["X", "Y"]
    _fill(path, "FEED", antennas, ANTENNA_ID=np.arange(antennas), NUM_RECEPTORS=[2] * antennas)
    with table(path + "/FEED", readonly=False, ack=False) as feed:
        for row in range(antennas):
            feed.putcell("POLARIZATION_TYPE", row, feeds)
            feed.putcell("BEAM_OFFSET", row, np.zeros((2, 2)))
            feed.putcell("RECEPTOR_ANGLE", row, np.zeros(2))
            feed.putcell("POL_RESPONSE", row, np.eye(2, dtype=complex))
        feed.putcol("SPECTRAL_WINDOW_ID", np.full(antennas, -1, np.int32))
        feed.putcol("TIME", np.full(antennas, span.mean()))
        feed.putcol("INTERVAL", np.full(antennas, 1e9))


def _fill(path, name, rows, **columns):
    with table(f"{path}/{name}", readonly=False, ack=False) as opened:
        opened.addrows(rows)
        for column, values in columns.items():
            opened.putcol(column, values)
