"""The simulator: from a configuration to level-1 files and the truth beside them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contimg.instruments.comap.simulate import sky
from contimg.instruments.comap.simulate.config import Recording, SimulationConfig
from contimg.instruments.comap.site import BANDS, GROUND_FEED, NATIVE_CHANNELS, SAMPLE_S, TCMB_K
from contimg.radio.level1 import Level1Writer
from contimg.volume import disk

__all__ = ["file_name", "simulate_comap"]

Floats = NDArray[np.float64]
_VANE_S, _SLEW_S, _BETWEEN_S = 20.0, 5.0, 25.0
_HK_LATE_S = 0.6
_VANE_K = 288.15
_IN_DEG, _OUT_DEG = 63.0, 190.0
_TURN_S = 1.0
_SPIKE_K = 20.0
_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)
_WEATHER = {"airTemperature": 850, "pressure": 87000, "dewPointTemp": -320, "windSpeed": 250, "windDirection": 18000}


def file_name(recording: Recording) -> str:
    """Return ``comap-NNNNNNN-YYYY-MM-DD-HHMMSS.hd5``."""
    start = _EPOCH + timedelta(days=recording.mjd)
    return f"comap-{recording.obsid:07d}-{start:%Y-%m-%d-%H%M%S}.hd5"


def simulate_comap(out: Path, config: SimulationConfig) -> list[Path]:
    """Write the files of all recordings and ``truth.json``.

    Raises
    ------
    contimg.errors.ContimgError
        If the directory cannot be written to.
    """
    directory = disk.check_writable(out, "directory of the simulation")
    truth: dict[str, Any] = {"config": config.model_dump(mode="json"), "recordings": {}}
    paths = []
    for number, recording in enumerate(config.recordings):
        made = _Made(config, recording, np.random.default_rng([config.seed, number]))
        paths.append(directory / file_name(recording))
        truth["recordings"][f"{recording.obsid:07d}"] = made.write(paths[-1])
    disk.write(directory / "truth.json", json.dumps(truth) + "\n")
    return paths


class _Made:
    """One file in the making."""

    def __init__(self, config: SimulationConfig, recording: Recording, rng: np.random.Generator) -> None:
        self.config, self.recording, self.rng = config, recording, rng
        self.t: Floats = np.asarray(np.arange(round(config.minutes * 60.0 / SAMPLE_S)) * SAMPLE_S, np.float64)
        self.mjd: Floats = recording.mjd + self.t / 86400.0
        self.feeds = (*config.feeds, *((GROUND_FEED,) if config.ground_feed else ()))
        self.scans = self._scans()
        self.scanning = np.any([(self.t >= a) & (self.t < b) for a, b in self.scans], axis=0)
        self.boresight = sky.track(config, recording, self.mjd, self.scanning)
        self.gain = 1.0 + self._gain() + config.gain_drift * self.t / self.t[-1]
        self.vane: Floats = self._vane_in(self.t)

    def _scans(self) -> list[tuple[float, float]]:
        begin, end = _VANE_S + _SLEW_S, float(self.t[-1]) - _VANE_S - _SLEW_S
        length = (end - begin - (self.config.scans - 1) * _BETWEEN_S) / self.config.scans
        starts = [begin + i * (length + _BETWEEN_S) for i in range(self.config.scans)]
        return [(start, start + length) for start in starts]

    def _gain(self) -> Floats:
        """Draw fluctuations from a series eight times as long, so that they do not close on themselves."""
        n = 8 * len(self.t)
        f = np.fft.rfftfreq(n, SAMPLE_S)
        f[0] = f[1]
        power = self.config.gain_rms**2 * f**self.config.gain_alpha
        found = np.fft.irfft(np.fft.rfft(self.rng.standard_normal(n)) * np.sqrt(power), n)
        return np.asarray(found[: len(self.t)])

    def _calibrating(self, t: Floats) -> NDArray[np.bool_]:
        return np.asarray((t < _VANE_S) | (t >= self.t[-1] - _VANE_S))

    def _angle(self, t: Floats) -> Floats:
        """Return the angle of the vane: in during the first half of each event, turning for a second [deg]."""
        since = np.where(t < self.t[-1] / 2, t, t - (self.t[-1] - _VANE_S))
        inside = np.clip(since / _TURN_S, 0.0, 1.0) - np.clip((since - _VANE_S / 2) / _TURN_S, 0.0, 1.0)
        return np.asarray(_OUT_DEG + (_IN_DEG - _OUT_DEG) * np.where(self._calibrating(t), inside, 0.0))

    def _vane_in(self, t: Floats) -> Floats:
        """Return how much of the beam the vane covers."""
        return np.clip((_OUT_DEG - self._angle(t)) / (_OUT_DEG - _IN_DEG), 0.0, 1.0)

    # -- what is written --------------------------------------------------------------------------------------------

    def write(self, path: Path) -> dict[str, Any]:
        """Write the file and return its truth."""
        shape = (len(self.feeds), BANDS, self.config.channels, len(self.t))
        tracks = [sky.feed_track(feed, self.boresight) for feed in self.feeds]
        places = [sky.galactic(self.mjd, one) for one in tracks]
        truth: dict[str, Any] = {"file": path.name, "source": self.recording.source, "scans_s": self.scans, "feeds": {}}
        with Level1Writer(path, shape) as writer:
            writer.describe(self._attributes(), self._axes(tracks) | self._housekeeping())
            for row, feed in enumerate(self.feeds):
                truth["feeds"][str(feed)] = self._feed(writer, row, tracks[row], places[row])
        return truth

    def _attributes(self) -> dict[str, Any]:
        start = _EPOCH + timedelta(days=self.recording.mjd)
        return {
            "obsid": f"{self.recording.obsid:07d}",
            "source": f"{self.recording.source},sky",
            "comment": "simulated",
            "utc_start": f"{start:%Y-%m-%d-%H:%M:%S}",
            "instrument": "COMAP",
            "telescope": "COMAP",
            "level": 1,
            "nchan": self.config.channels,
            "tsamp": SAMPLE_S,
            "pixels": " ".join(f"{feed}A" for feed in self.feeds),
        }

    def _frequency(self) -> Floats:
        """Return the axis of each band; the first and the third run downwards [GHz]."""
        step = 2.0 / self.config.channels
        up = (np.arange(self.config.channels) + 0.5) * step
        return np.stack([28.0 - up, 28.0 + up, 32.0 - up, 32.0 + up])

    def _features(self, t: Floats) -> NDArray[np.int64]:
        scan = np.any([(t >= a) & (t < b) for a, b in self.scans], axis=0)
        bit = 15 if self.recording.mode == "lissajous" else 9
        return np.where(self._calibrating(t), 1 << 13, np.where(scan, 1 << bit, 0)).astype(np.int64)

    def _axes(self, tracks: list[sky.Track]) -> dict[str, Any]:
        az, el = (np.array([one[i] for one in tracks]) for i in (0, 1))
        middle = sky.centre(self.config, self.recording).icrs
        ones = np.ones_like(az)
        return {
            "spectrometer/MJD": self.mjd,
            "spectrometer/features": self._features(self.t),
            "spectrometer/feeds": np.array(self.feeds),
            "spectrometer/bands": np.array([b"A:LSB", b"A:USB", b"B:LSB", b"B:USB"]),
            "spectrometer/frequency": self._frequency(),
            "spectrometer/pixel_pointing/pixel_az": az,
            "spectrometer/pixel_pointing/pixel_el": el,
            "spectrometer/pixel_pointing/pixel_ra": middle.ra.deg * ones,
            "spectrometer/pixel_pointing/pixel_dec": middle.dec.deg * ones,
            "spectrometer/pixel_pointing/pixel_xoffset": np.zeros(len(az)),
            "spectrometer/pixel_pointing/pixel_yoffset": np.zeros(len(az)),
        }

    def _housekeeping(self) -> dict[str, Any]:
        """Return the groups below ``hk``; the lengths of the groups differ, their clock is late."""
        end = float(self.t[-1])
        vane, frame, tracker, weather = (np.arange(-1.0, end + 1.0, step) for step in (0.5, 0.5, 0.53, 5.0))
        frame = frame[1:]
        scan = np.any([(tracker >= a) & (tracker < b) for a, b in self.scans], axis=0)
        moving = scan.astype(np.int64) if self.recording.mode == "lissajous" else np.zeros(len(tracker), np.int64)
        found: dict[str, Any] = {
            "hk/antenna0/vane/angle": np.rint(self._angle(vane) * 100).astype(np.int64),
            "hk/antenna0/vane/utc": self._late(vane),
            "hk/array/frame/features": self._features(frame),
            "hk/array/frame/utc": self._late(frame),
            "hk/antenna0/deTracker/lissajous_status": moving,
            "hk/antenna0/deTracker/utc": self._late(tracker),
            "hk/array/weather/utc": self._late(weather),
        }
        for name in ("Tvane", "Tambient", "Tshroud"):
            found[f"hk/antenna0/vane/{name}"] = np.full(len(vane), round((_VANE_K - 273.15) * 100), np.int64)
        for name, value in _WEATHER.items():
            found[f"hk/array/weather/{name}"] = np.full(len(weather), value, np.int64)
        return found

    def _late(self, t: Floats) -> Floats:
        return np.asarray(self.recording.mjd + (t + _HK_LATE_S) / 86400.0)

    def _feed(self, writer: Level1Writer, row: int, pointing: sky.Track, place: sky.Track) -> dict[str, Any]:
        receiver, counts = self._receiver(), self._counts_per_k()
        atmosphere = self.config.atmosphere_k / np.sin(np.radians(pointing[1]))
        ground = self.config.ground_k * (pointing[0] - pointing[0].mean()) * np.cos(np.radians(pointing[1]))
        spikes = np.zeros_like(self.t)
        where = self.rng.integers(0, len(self.t), self.config.spikes)
        spikes[where] = _SPIKE_K
        sees_sky = self.feeds[row] != GROUND_FEED
        for band in range(BANDS):
            ghz = 26.5 + 2.0 * band + 0.5
            above = TCMB_K + atmosphere + ground * self.scanning + sees_sky * sky.sky_k(self.config, place, ghz)
            seen = np.where(self.vane > 0, self.vane * _VANE_K + (1 - self.vane) * above, above) + spikes
            writer.power(row, band, self._power(receiver[band], counts[band], seen))
        return {
            "receiver_k": np.round(receiver, 4).tolist(),
            "counts_per_k": np.round(counts, 3).tolist(),
            "spikes": sorted(where.tolist()),
        }

    def _receiver(self) -> Floats:
        """Return the receiver's temperature, shape (band, channel): ripple, scatter, spikes [K]."""
        n = self.config.channels
        ripple = 0.15 * np.sin(6.0 * np.arange(n) / n) + 0.02 * self.rng.standard_normal((BANDS, n))
        found = self.config.receiver_k * (1.0 + ripple)
        half = 3 * n // NATIVE_CHANNELS
        for band in range(BANDS):
            for channel in self.rng.integers(half, n - half, 8):
                found[band, channel - half : channel + half + 1] *= self.rng.uniform(1.5, 3.0)
        return np.asarray(found)

    def _counts_per_k(self) -> Floats:
        n = self.config.channels
        shape = 1.0 - 0.3 * np.linspace(-1.0, 1.0, n) ** 2
        scatter = 1.0 + 0.05 * self.rng.random((BANDS, n))
        return np.asarray(1e4 * shape * self.rng.uniform(0.8, 1.2, (BANDS, 1)) * scatter)

    def _power(self, receiver: Floats, counts: Floats, seen: Floats) -> NDArray[np.float32]:
        """Return the power of a band, shape (channel, time) [counts]."""
        config, n = self.config, self.config.channels
        sigma = config.noise / np.sqrt(2e9 / n * SAMPLE_S)
        found = self.rng.standard_normal((n, len(self.t)), np.float32) if config.noise else None
        power: NDArray[np.float32] = ((receiver[:, None] + seen) * self.gain * counts[:, None]).astype(np.float32)
        if found is not None:
            found *= np.float32(sigma)
            found += np.float32(1.0)
            power *= found
        power[self.rng.integers(0, n, config.dead_channels)] = 1000.0
        power[:, self.rng.integers(0, len(self.t), config.nan_samples)] = np.nan
        return power
