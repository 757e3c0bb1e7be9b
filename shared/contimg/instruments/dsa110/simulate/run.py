"""The simulator: from a configuration to subband files and the truth beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from astropy.coordinates import EarthLocation
from numpy.typing import NDArray

from contimg.errors import BadConfig
from contimg.instruments import telescope
from contimg.instruments.dsa110.simulate.array import Array, array_of, beam_fwhm_arcsec, frequencies, pointing_vector
from contimg.instruments.dsa110.simulate.config import RAW_PER_SUBBAND, SUBBANDS, SimulationConfig, Source
from contimg.instruments.dsa110.simulate.instrument import (
    RAW_WIDTH_HZ,
    GainTruth,
    corrupt,
    draw_gains,
    draw_rfi,
    noise_jy,
    sum_sources,
)
from contimg.instruments.dsa110.simulate.size import WORKERS, check_memory, check_space, size_of
from contimg.instruments.dsa110.simulate.sky import (
    REFERENCE_HZ,
    airy,
    directions,
    fluxes,
    instants,
    observation_starts,
    sky_of,
)
from contimg.instruments.dsa110.simulate.truth import RfiEvent, Truth, TruthFile, TruthObservation
from contimg.radio.catalog import Catalog
from contimg.radio.catalog import write as write_catalog
from contimg.radio.telescopes import Telescope
from contimg.radio.uvh5.write import write as write_uvh5
from contimg.volume import disk

__all__ = ["simulate_dsa110"]

Floats = NDArray[np.float64]
Report = Callable[[str], None]

_LEAST_JY = 1e-6
"""Sources that the beam leaves fainter than this in a whole observation are not summed."""


@dataclass(frozen=True)
class _Run:
    """What all observations share."""

    out: Path
    config: SimulationConfig
    telescope: Telescope
    site: EarthLocation
    array: Array
    freq_hz: Floats
    sources: tuple[Source, ...]
    gains: GainTruth

    @property
    def dec_rad(self) -> float:
        return float(np.radians(self.config.dec_deg))


def simulate_dsa110(out: Path, config: SimulationConfig, report: Report = lambda _line: None) -> Truth:
    """Write the raw files of a simulated DSA-110 run.

    Parameters
    ----------
    out
        Directory, made if needed, that gets ``<stamp>_sbNN.hdf5``, ``late/``, ``truth.json``, ``gains.npz`` and
        ``catalog.ecsv``.
    config
        What to simulate; the same configuration gives the same bytes.
    report
        Called with one line per observation.

    Returns
    -------
    Truth
        What ``truth.json`` holds.

    Raises
    ------
    BadConfig
        If the sky is empty or too crowded, the calibrator is unknown, ``out`` already holds a simulation or is no
        directory that can be written.
    ResourceExhausted
        If it needs more memory or disk than is free.
    """
    check_memory(config)
    if (out / "truth.json").exists():
        raise BadConfig(f"{out} already holds a simulation (truth.json); choose another directory or remove it")
    disk.check_writable(out, "directory of the simulation")
    check_space(out, size_of(config).total)
    run, starts = _prepare(out, config)
    observations = []
    for number, start in enumerate(starts):
        observations.append(_observe(run, number, start))
        report(f"observation {number + 1}/{len(starts)} {observations[-1].id}: {len(observations[-1].files)} files")
    truth = _truth(run, tuple(observations))
    _write_beside(run, truth)
    return truth


def _prepare(out: Path, config: SimulationConfig) -> tuple[_Run, list[datetime]]:
    dsa = telescope("dsa110")
    site = dsa.location
    starts = observation_starts(config, site)
    array = array_of(config, dsa)
    freq_hz = frequencies(config.channels_per_subband)
    sources = sky_of(config, starts, site)
    gains = draw_gains(config, array.numbers, freq_hz)
    return _Run(out, config, dsa, site, array, freq_hz, sources, gains), starts


def _observe(run: _Run, number: int, start: datetime) -> TruthObservation:
    config = run.config
    centres = (np.arange(config.integrations) + 0.5) * config.integration_s
    times = instants(start, centres)
    vectors = directions(run.sources, times, run.site)
    events = draw_rfi(config.rfi, config.seed, number, config.integrations, run.freq_hz.size)
    names = _names(config, number, start)
    lost = _dropouts(config, number)
    check_space(run.out, SUBBANDS * size_of(config).subband)  # others write there too
    missing = config.missing_subbands.get(number, ())

    def one(subband: int) -> list[TruthFile]:
        holes = [t for sb, t in lost if sb == subband]
        return _write_subband(run, (number, subband), (vectors, times.jd, events, holes), names[subband])

    with ThreadPoolExecutor(WORKERS) as pool:
        files = [each for written in pool.map(one, sorted(set(range(SUBBANDS)) - set(missing))) for each in written]
    end = start + timedelta(seconds=config.length_s)
    return TruthObservation(
        id=(start + timedelta(milliseconds=500)).strftime("%Y-%m-%dT%H:%M:%S"),
        start=start,
        end=end,
        times_jd=tuple(float(t) for t in times.jd),
        files=tuple(files),
        missing_subbands=tuple(missing),
        dropouts=tuple(each for each in lost if each[0] not in missing),
        rfi=events,
    )


def _write_subband(
    run: _Run,
    where: tuple[int, int],
    seen: tuple[Floats, Floats, tuple[RfiEvent, ...], list[int]],
    stamp: datetime,
) -> list[TruthFile]:
    """Write one subband, and its second copy where one is asked for."""
    number, subband = where
    vectors, times_jd, events, holes = seen
    config, freq_hz = run.config, run.freq_hz[subband]
    response = airy(vectors @ pointing_vector(run.dec_rad), freq_hz, run.telescope.dish_m)
    amplitude = fluxes(run.sources, freq_hz) * response
    bright = amplitude.max(axis=(0, 2)) > _LEAST_JY
    model = sum_sources(run.array, vectors[:, bright], amplitude[:, bright], freq_hz, run.dec_rad)

    def write(name: str, kind: str, salt: int) -> TruthFile:
        rng = np.random.default_rng([config.seed, 5, number, subband, salt])
        data = corrupt(config, run.array, model, run.gains, events, where, freq_hz, rng)
        data[holes] = 0
        path = run.out / name
        path.parent.mkdir(exist_ok=True)
        uvw, pairs = run.array.uvw(run.dec_rad), run.array.numbers[np.stack([run.array.first, run.array.second], 1)]
        write_uvh5(path, run.telescope, pairs, uvw, run.dec_rad, times_jd, config.integration_s, freq_hz, data)
        return TruthFile(name=name, subband=subband, sha256=disk.sha256_file(path), kind=kind)

    late = subband in config.late_subbands.get(number, ())
    plain, second = _name(stamp, subband), _name(stamp + timedelta(seconds=1), subband)
    written = [write(f"late/{plain}", "late", 0) if late else write(plain, "plain", 0)]
    if subband in config.duplicate_subbands.get(number, ()):
        shutil.copyfile(run.out / written[0].name, run.out / second)
        written.append(written[0].model_copy(update={"name": second, "kind": "duplicate"}))
    elif subband in config.unlike_subbands.get(number, ()):
        written.append(write(second, "unlike", 1))
    return written


def _names(config: SimulationConfig, number: int, start: datetime) -> list[datetime]:
    """Return the wall clock of each host when it opened its file, which is what the file is named after.

    In steady running the hosts open about 5 s after the data start and agree to a second; the first file after a
    restart of the correlator is named about 100 s early and its hosts are up to 18 s apart.
    """
    rng = np.random.default_rng([config.seed, 6, number])
    if number in config.restarts:
        shift = -100.0 + rng.uniform(0.0, 18.0, SUBBANDS)
    else:
        shift = 5.0 + rng.normal(0.0, 0.2, SUBBANDS)
    return [start + timedelta(seconds=float(each)) for each in shift]


def _name(stamp: datetime, subband: int) -> str:
    return f"{stamp.strftime('%Y-%m-%dT%H:%M:%S')}_sb{subband:02d}.hdf5"


def _dropouts(config: SimulationConfig, number: int) -> tuple[tuple[int, int], ...]:
    rng = np.random.default_rng([config.seed, 7, number])
    lost = rng.uniform(size=(SUBBANDS, config.integrations)) < config.dropouts
    return tuple((int(sb), int(t)) for sb, t in np.argwhere(lost))


def _truth(run: _Run, observations: tuple[TruthObservation, ...]) -> Truth:
    config = run.config
    sigma = noise_jy(config, RAW_WIDTH_HZ * RAW_PER_SUBBAND / config.channels_per_subband)
    samples = 2 * int(np.count_nonzero(run.array.first != run.array.second)) * config.integrations * run.freq_hz.size
    return Truth(
        reference_hz=REFERENCE_HZ,
        config=config,
        sources=run.sources,
        stations=tuple(int(n) for n in run.array.numbers),
        freq_hz=tuple(tuple(float(f) for f in row) for row in run.freq_hz),
        noise_jy=sigma,
        thermal_jy=sigma / float(np.sqrt(samples)),
        beam_fwhm_arcsec=beam_fwhm_arcsec(run.array, run.dec_rad, run.freq_hz),
        observations=observations,
    )


def _write_beside(run: _Run, truth: Truth) -> None:
    """Write the gains and the catalogue, and last ``truth.json``, which says that the rest is complete."""
    np.savez(
        run.out / truth.gains,
        bandpass=run.gains.bandpass,
        drift=run.gains.drift,
        stations=run.array.numbers,
        freq_hz=run.freq_hz.ravel(),
    )
    names = ("name", "ra_deg", "dec_deg", "flux_jy", "spectral_index")
    name, ra, dec, flux, index = (np.array([getattr(each, key) for each in run.sources]) for key in names)
    frequency = np.full(len(name), REFERENCE_HZ)
    write_catalog(run.out / truth.catalog, Catalog(name, ra, dec, flux, frequency, index))
    (run.out / "truth.json").write_text(truth.model_dump_json(indent=1) + "\n", encoding="utf-8")
