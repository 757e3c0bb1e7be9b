"""Calibration of a pointed array from scans on calibrators; the flux of the secondary stays free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contimg.errors import BadInput
from contimg.radio.caltable import Field
from contimg.radio.fluxscale import is_primary
from contimg.radio.ms.read import Recording
from contimg_solve.calibration import Calibration, Flux
from contimg_solve.data import antenna_names, blocks, check_channels
from contimg_solve.model import point, visibilities
from contimg_solve.params import SolveParams
from contimg_solve.solution import Solution, fill_gaps, referenced, require, solve, stack
from contimg_solve.sources import flux_jy, identify
from contimg_solve.stefcal import Sums, accumulate, new_sums

__all__ = ["Scan", "band_bins", "fluxes", "scans_of", "solve_scans"]


@dataclass(frozen=True)
class Scan:
    """A recording of a calibrator."""

    recording: Recording
    field: Field
    primary: bool
    """Whether its flux is known from the scale."""
    flux_jy: np.ndarray
    """(chan,) model flux; of a source of unknown flux: 1 Jy at the middle of the band."""


def scans_of(recordings: Sequence[Recording], params: SolveParams) -> list[Scan]:
    """Identify the calibrators of the recordings.

    Raises
    ------
    BadInput
        If none is on the Perley-Butler 2017 scale.
    """
    check_channels(recordings)
    found = []
    for recording in recordings:
        where = identify(recording)
        primary = is_primary(where.name)
        freqs = recording.freqs_hz
        free = (freqs / freqs.mean()) ** params.spectral_index
        found.append(Scan(recording, where, primary, flux_jy(where.name, freqs, 0.0) if primary else free))
    if not any(scan.primary for scan in found):
        names = ", ".join(sorted({scan.field.name for scan in found})) or "none"
        raise BadInput(f"no calibrator scan of a Perley-Butler 2017 source (found {names}); add one to the group")
    return found


def band_bins(nchan: int, edge_fraction: float) -> np.ndarray:
    """Return the index of the bin of each channel, (chan,), for a band average: 0 inside, -1 at the edges."""
    bins = np.zeros(nchan, np.int64)
    edge = int(nchan * edge_fraction)
    bins[:edge] = bins[nchan - edge :] = -1
    return bins


def _sum(sums: Sums, scan: Scan, names: Sequence[str], pre: np.ndarray, bins: np.ndarray, params: SolveParams) -> None:
    recording = scan.recording
    sky = point(recording, scan.flux_jy)
    shortest = params.min_uv_wavelengths * 299792458.0 / recording.freqs_hz.mean()
    for block in blocks(recording, names):
        slot = np.where(np.hypot(block.uvw[:, 0], block.uvw[:, 1]) >= shortest, 0, -1)
        accumulate(sums, block, visibilities(sky, block, recording.freqs_hz), pre, slot, bins)


def _bandpass(
    scans: Sequence[Scan], phases: Sequence[np.ndarray], names: Sequence[str], params: SolveParams
) -> Solution:
    """Solve one bandpass from scans whose phases against each other are known."""
    recording = scans[0].recording
    nchan, hands = len(recording.freqs_hz), len(recording.hands)
    sums = new_sums(1, nchan, hands, len(names))
    for scan, phase in zip(scans, phases, strict=True):
        pre = np.ascontiguousarray(np.broadcast_to(phase, (nchan, hands, len(names))))
        _sum(sums, scan, names, pre, np.arange(nchan), params)
    start, end = scans[0].recording, scans[-1].recording
    middle = np.array([(start.times_s[0] + end.times_s[-1]) / 2])
    length = np.array([end.times_s[-1] - start.times_s[0] + start.interval_s])
    return solve(sums, params, middle, length, [scans[0].field.name])


def _gain(scan: Scan, pre: np.ndarray, names: Sequence[str], params: SolveParams) -> Solution | None:
    """Solve one band-averaged gain per antenna and hand of a scan; None if all of it is flagged."""
    recording = scan.recording
    sums = new_sums(1, 1, len(recording.hands), len(names))
    _sum(sums, scan, names, pre, band_bins(len(recording.freqs_hz), params.edge_fraction), params)
    times, lengths = np.array([recording.mid_s]), np.array([recording.length_s])
    return solve(sums, params, times, lengths, [scan.field.name]) if sums.count.any() else None


def _phases(scans: Sequence[Scan], names: Sequence[str], params: SolveParams) -> list[np.ndarray]:
    """Return the phase factor (hand, antenna) of each scan against the first."""
    nant, hands = len(names), len(scans[0].recording.hands)
    phases = [np.ones((hands, nant), np.complex64)]
    if len(scans) > 1:
        first, _ = referenced(_bandpass(scans[:1], phases, names, params), names, params.reference_antennas)
        for scan in scans[1:]:
            gain = _gain(scan, first.as_factor()[0], names, params)
            if gain is None:
                phases.append(np.zeros((hands, nant), np.complex64))
                continue
            factor = referenced(gain, names, params.reference_antennas)[0].as_factor()[0, 0]
            phases.append(np.where(factor == 0, 0, factor / np.maximum(np.abs(factor), 1e-30)).astype(np.complex64))
    return phases


def solve_scans(
    scans: Sequence[Scan], params: SolveParams, report: Callable[[int, int, str], None] = lambda *_: None
) -> Calibration:
    """Solve bandpass, gains per scan and the flux of every source that is not on the scale.

    The bandpass comes from the scans of the first primary and carries the flux scale; the gains of the other
    sources, solved with 1 Jy, are divided by the square root of the flux found.
    """
    names = antenna_names([scan.recording for scan in scans])
    first = next(scan for scan in scans if scan.primary)
    primaries = [scan for scan in scans if scan.field.name == first.field.name]
    total = len(scans) + 1
    report(0, total, "bandpass")
    solved = require(_bandpass(primaries, _phases(primaries, names, params), names, params), params)
    bandpass, reference = referenced(solved, names, params.reference_antennas)
    bandpass = fill_gaps(bandpass, params.fill_gaps)
    parts: list[Solution | None] = []
    for done, scan in enumerate(scans, 1):
        report(done, total, f"gains of {scan.field.name}")
        parts.append(_gain(scan, bandpass.as_factor()[0], names, params))
    gains, _ = referenced(stack([part for part in parts if part is not None]), names, (reference,))
    free = {scan.field.name for scan in scans if not scan.primary}
    found = fluxes(gains, first.field.name, free)
    return Calibration(
        names=names,
        reference=reference,
        bandpass=bandpass,
        gains=_rescaled(gains, found, free),
        gains_flagged=gains.flagged(),
        fields=tuple({scan.field.name: scan.field for scan in scans}.values()),
        calibrator=first.field,
        model_jy=float(first.flux_jy.mean()),
        fluxes=found,
    )


def fluxes(gains: Solution, primary: str, others: set[str]) -> dict[str, Flux]:
    """Return the flux of each source from its gains for 1 Jy against those of the primary.

    Per antenna and hand the mean amplitudes over scans are compared; the mean of the squared ratios without
    outliers (5 robust sigma) is the flux, as in the task ``fluxscale`` of CASA.
    """
    reference = _amplitude(gains, primary)
    found = {}
    for name in sorted(others):
        ratio = (_amplitude(gains, name) / reference) ** 2
        ratio = ratio[np.isfinite(ratio)]
        if ratio.size == 0:
            continue
        middle = np.median(ratio)
        kept = ratio[np.abs(ratio - middle) <= 5 * 1.4826 * np.median(np.abs(ratio - middle)) + 1e-6 * middle]
        error = float(kept.std(ddof=1) / np.sqrt(kept.size)) if kept.size > 1 else float("nan")
        found[name] = Flux(float(kept.mean()), error, int(kept.size))
    return found


def _amplitude(gains: Solution, name: str) -> np.ndarray:
    """Return (hand, antenna) mean amplitudes over the solutions of a field, NaN where there is none."""
    mine = np.array([f == name for f in gains.fields])
    good = ~gains.flag[mine, 0]
    total = np.where(good, np.abs(gains.gain[mine, 0]), 0).sum(axis=0)
    count = good.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _rescaled(gains: Solution, found: dict[str, Flux], free: set[str]) -> Solution:
    """Divide the gains of sources solved with 1 Jy by the root of their flux; flag those whose flux is unknown."""
    scale = np.array([found[f].flux_jy ** -0.5 if f in found else 1.0 for f in gains.fields], np.float32)
    unknown = np.array([f in free and f not in found for f in gains.fields])
    flag = gains.flag | unknown[:, None, None, None]
    gain = np.where(flag, 1, gains.gain * scale[:, None, None, None]).astype(np.complex64)
    return replace(gains, gain=gain, flag=flag)
