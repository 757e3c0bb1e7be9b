"""What the instrument does to the sky: the sum over sources, gains, receiver noise, transmitters, lost packets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.instruments.dsa110.simulate.array import LIGHT, Array, pointing_vector
from contimg.instruments.dsa110.simulate.config import Gains, Rfi, SimulationConfig
from contimg.instruments.dsa110.simulate.kernel import direct_sum
from contimg.instruments.dsa110.simulate.truth import RfiEvent

__all__ = ["GainTruth", "corrupt", "draw_gains", "draw_rfi", "noise_jy", "sum_sources"]

Floats = NDArray[np.float64]
Complex = NDArray[np.complex128]
Visibilities = NDArray[np.complex64]

RAW_WIDTH_HZ = 250e6 / 8192
"""One correlator channel [Hz]."""


@dataclass(frozen=True)
class GainTruth:
    """Gains in the sense of a measurement set, V_ij = g_i conj(g_j) V; g = bandpass * drift."""

    bandpass: Complex
    """Shape (A, 2, F), channels as in the files from sb00 on."""
    drift: Complex
    """Shape (O, A, 2), one factor per observation."""


def sum_sources(array: Array, vectors: Floats, amplitude: Floats, freq_hz: Floats, dec_rad: float) -> Complex:
    """Sum point sources directly, phases stopped at hour angle 0 and a declination.

    Parameters
    ----------
    array
        A antennas, B baselines.
    vectors
        Apparent directions, shape (T, S, 3).
    amplitude
        Flux density times beam, shape (T, S, F) [Jy].
    freq_hz
        Equally spaced channels, shape (F,) [Hz].
    dec_rad
        Apparent declination where the phase is 0 [rad].

    Returns
    -------
    ndarray
        Shape (T, B, F) [Jy], sum of S exp(+2 pi i nu (b . (s - s0)) / c) with b = second - first antenna: the sign of
        pyuvdata. Each channel is monochromatic and each integration an instant: nothing is smeared.
    """
    out = np.empty((len(vectors), len(array.first), len(freq_hz)), np.complex128)
    delay = array.local_m @ (vectors - pointing_vector(dec_rad)).transpose(0, 2, 1) / LIGHT
    step = (freq_hz[-1] - freq_hz[0]) / max(1, len(freq_hz) - 1)
    flux = np.ascontiguousarray(amplitude.transpose(0, 2, 1))
    direct_sum(delay, flux, freq_hz[0], step, array.first, array.second, out)
    return out


def draw_gains(config: SimulationConfig, numbers: NDArray[np.int64], freq_hz: Floats) -> GainTruth:
    """Return the gains of a run, shapes as in `GainTruth`."""
    shape = (len(numbers), 2)
    bandpass = np.ones((*shape, freq_hz.size), np.complex128)
    drift = np.ones((config.observations, *shape), np.complex128)
    if config.gains is not None:
        rng = np.random.default_rng([config.seed, 2])
        bandpass = _bandpass(config.gains, rng, shape, freq_hz.ravel())
        drift = _drift(config.gains, rng, (config.observations, *shape))
    bandpass[np.isin(numbers, config.dead_stations)] *= 1e-3
    return GainTruth(bandpass, drift)


def _bandpass(gains: Gains, rng: np.random.Generator, shape: tuple[int, int], freq_hz: Floats) -> Complex:
    level = gains.amplitude * (1 + gains.scatter * rng.standard_normal(shape).clip(-2, 2))
    phase = rng.uniform(-np.pi, np.pi, shape)
    delay = rng.uniform(-1, 1, shape) * gains.delay_ns * 1e-9
    x = (freq_hz - freq_hz.mean()) / np.ptp(freq_hz)
    waves = np.stack([np.cos(2 * np.pi * (k + 1) * x + k) for k in range(3)])
    ripple = 1 + gains.ripple * rng.standard_normal((*shape, 3)).clip(-2, 2) @ waves
    turn = phase[..., None] + 2 * np.pi * delay[..., None] * (freq_hz - freq_hz.mean())
    return np.asarray(level[..., None] * ripple * np.exp(1j * turn))


def _drift(gains: Gains, rng: np.random.Generator, shape: tuple[int, ...]) -> Complex:
    """Return a random walk over observations that starts at 1."""
    steps = rng.standard_normal((2, *shape))
    steps[:, 0] = 0
    phase, amplitude = np.cumsum(steps, axis=1)
    return np.asarray((1 + gains.amplitude_drift * amplitude) * np.exp(1j * np.radians(gains.phase_drift_deg) * phase))


def draw_rfi(rfi: Rfi | None, seed: int, observation: int, integrations: int, channels: int) -> tuple[RfiEvent, ...]:
    """Return the transmitters heard in one observation; narrow ones keep their channel and place over the run."""
    if rfi is None:
        return ()
    fixed, rng = np.random.default_rng([seed, 3]), np.random.default_rng([seed, 4, observation])
    level = np.log([rfi.min_flux_jy, rfi.max_flux_jy])
    events = []
    for channel in fixed.choice(channels, min(rfi.narrow, channels), replace=False):
        on = tuple(int(t) for t in np.flatnonzero(rng.uniform(size=integrations) < 0.8))
        azimuth, flux = fixed.uniform(0, 360), np.exp(fixed.uniform(*level))
        events.append(RfiEvent("narrow", int(channel), 1, on, float(flux), float(azimuth)))
    width = max(1, round(channels / 25))
    for _ in range(rfi.bursts):
        first, when = int(rng.integers(channels - width + 1)), int(rng.integers(integrations))
        flux, azimuth = float(np.exp(rng.uniform(*level))), float(rng.uniform(0, 360))
        events.append(RfiEvent("burst", first, width, (when,), flux, azimuth))
    return tuple(events)


def noise_jy(config: SimulationConfig, width_hz: float) -> float:
    """Return the noise of the real part of one cross-correlation, SEFD / sqrt(2 bandwidth time) [Jy]."""
    return config.sefd_jy / float(np.sqrt(2 * width_hz * config.integration_s))


@dataclass(frozen=True)
class _Cell:
    """One subband of one observation."""

    observation: int
    subband: int
    freq_hz: Floats


def corrupt(
    config: SimulationConfig,
    array: Array,
    model: Complex,
    gains: GainTruth,
    events: tuple[RfiEvent, ...],
    where: tuple[int, int],
    freq_hz: Floats,
    rng: np.random.Generator,
) -> Visibilities:
    """Return what the correlator writes for one subband of one observation.

    Parameters
    ----------
    config, array, gains, events
        The run; ``events`` are those of this observation.
    model
        Sum over sources, shape (T, B, C) [Jy].
    where
        Number of the observation and of the subband.
    freq_hz
        Channels of the subband, shape (C,) [Hz].
    rng
        For the noise.

    Returns
    -------
    ndarray
        Shape (T, B, C, 2), counts.
    """
    cell = _Cell(*where, freq_hz)
    channels = slice(cell.subband * len(freq_hz), (cell.subband + 1) * len(freq_hz))
    signal = model + _transmitters(array, events, model.shape, cell, np.radians(config.dec_deg))
    g = gains.bandpass[:, :, channels] * gains.drift[cell.observation][..., None]
    # A file holds the conjugate of what a measurement set holds, hence the conjugate gains.
    pair = (g[array.first].conj() * g[array.second]).transpose(0, 2, 1).astype(np.complex64)
    data = signal.astype(np.complex64)[..., None] + _noise(config, array, (*model.shape, 2), freq_hz, rng)
    data *= pair
    auto = array.first == array.second
    data[:, auto] = data[:, auto].real
    return data


def _noise(
    config: SimulationConfig, array: Array, shape: tuple[int, ...], freq_hz: Floats, rng: np.random.Generator
) -> Visibilities:
    width = RAW_WIDTH_HZ * 384 / len(freq_hz)
    sigma = noise_jy(config, width)
    system = np.where(np.isin(array.numbers, config.noisy_stations), 36.0, 1.0)  # of the power: 6 in amplitude
    noise = rng.standard_normal((*shape, 2), np.float32).view(np.complex64)[..., 0]
    scale = np.sqrt(system[array.first] * system[array.second])
    noise *= np.float32(sigma) * scale[:, None, None].astype(np.float32)
    auto = array.first == array.second
    # The power of one receiver, with the noise of its mean: sqrt(2) times that of the real part of a product.
    noise[:, auto] = noise[:, auto].real * np.sqrt(np.float32(2)) + config.sefd_jy * system[:, None, None]
    return noise


def _transmitters(
    array: Array, events: tuple[RfiEvent, ...], shape: tuple[int, ...], cell: _Cell, dec_rad: float
) -> Complex:
    """Return the sum over transmitters on the horizon; their fringes do not move as the array does not track."""
    out = np.zeros(shape, np.complex128)
    for event in events:
        first = event.channel - cell.subband * len(cell.freq_hz)
        inside = [c for c in range(first, first + event.channels) if 0 <= c < len(cell.freq_hz)]
        azimuth = np.radians(event.azimuth_deg)
        toward = np.array([-np.cos(azimuth) * 0.6, np.sin(azimuth), np.cos(azimuth) * 0.8])  # latitude 37 degrees
        delay = array.local_m @ (toward - pointing_vector(dec_rad)) / LIGHT
        for c in inside:
            phase = 2 * np.pi * cell.freq_hz[c] * (delay[array.second] - delay[array.first])
            out[np.ix_(event.integrations, range(shape[1]), [c])] += (event.flux_jy * np.exp(1j * phase))[None, :, None]
    return out
