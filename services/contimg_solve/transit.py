"""Calibration of a drift scan: a bandpass from a calibrator's transit, a gain per member on the sky itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from contimg.radio.ms.read import Recording
from contimg_solve.data import blocks
from contimg_solve.model import Sky, visibilities
from contimg_solve.params import SolveParams
from contimg_solve.scans import band_bins
from contimg_solve.solution import Solution, fill_gaps, referenced, require, solve, stack
from contimg_solve.stefcal import Sums, accumulate, new_sums

__all__ = ["Member", "MemberGains", "bandpass", "member_gains", "normalised", "short_phases", "unit_gains"]


@dataclass(frozen=True)
class Member:
    """A recording and the sky it sees; None: nothing in the model is bright enough."""

    recording: Recording
    sky: Sky | None


@dataclass(frozen=True)
class MemberGains:
    """Gains of all members."""

    gains: Solution
    """(member, 1, hand, antenna), mean amplitude of a member 1."""
    flagged: float
    """Fraction of gains that failed, those replaced by 1 included."""
    weak: tuple[str, ...]
    """Members whose gains failed as a whole and were set to 1."""


def _sum(
    sums: Sums,
    member: Member,
    names: Sequence[str],
    pre: np.ndarray,
    bins: np.ndarray,
    slots: np.ndarray,
    params: SolveParams,
) -> None:
    recording = member.recording
    if member.sky is None:
        return
    shortest = params.min_uv_wavelengths * 299792458.0 / recording.freqs_hz.mean()
    for block in blocks(recording, names):
        long = np.hypot(block.uvw[:, 0], block.uvw[:, 1]) >= shortest
        slot = np.where(long, slots[block.time], -1)
        accumulate(sums, block, visibilities(member.sky, block, recording.freqs_hz), pre, slot, bins)


def bandpass(member: Member, name: str, names: Sequence[str], params: SolveParams) -> tuple[Solution, str]:
    """Solve gains per channel over the whole recording of a calibrator; they carry the flux scale.

    Returns
    -------
    Solution, str
        The bandpass, referenced and with small gaps filled, and the reference antenna.
    """
    recording = member.recording
    nchan, hands, nant = len(recording.freqs_hz), len(recording.hands), len(names)
    sums = new_sums(1, nchan, hands, nant)
    pre = np.ones((nchan, hands, nant), np.complex64)
    _sum(sums, member, names, pre, np.arange(nchan), np.zeros(len(recording.times_s), np.int64), params)
    times, lengths = np.array([recording.mid_s]), np.array([recording.length_s])
    found = require(solve(sums, params, times, lengths, [name]), params)
    solved, reference = referenced(found, names, params.reference_antennas)
    return fill_gaps(solved, params.fill_gaps), reference


def _one_gain(member: Member, pre: np.ndarray, names: Sequence[str], params: SolveParams) -> Solution:
    recording = member.recording
    sums = new_sums(1, 1, len(recording.hands), len(names))
    slots = np.zeros(len(recording.times_s), np.int64)
    _sum(sums, member, names, pre, band_bins(len(recording.freqs_hz), params.edge_fraction), slots, params)
    times, lengths = np.array([recording.mid_s]), np.array([recording.length_s])
    if not sums.count.any():
        return unit_gains(member, pre)
    return solve(sums, params, times, lengths, [recording.unit])


def unit_gains(member: Member, pre: np.ndarray) -> Solution:
    """Return gains of 1 (pure number) for antennas that have a bandpass (chan, hand, antenna); others are flagged."""
    recording = member.recording
    live = (pre != 0).any(axis=(0, 1))
    flag = np.broadcast_to(~(pre != 0).any(axis=0), (1, 1, *pre.shape[1:])).copy()
    return Solution(
        gain=np.ones(flag.shape, np.complex64),
        flag=flag,
        snr=np.zeros(flag.shape, np.float32),
        live=live,
        times_s=np.array([recording.mid_s]),
        intervals_s=np.array([recording.length_s]),
        fields=(recording.unit,),
    )


def normalised(solution: Solution) -> Solution:
    """Divide the gains of each time by their mean amplitude, so that the flux scale stays that of the bandpass."""
    amplitude = np.where(solution.flag, np.nan, np.abs(solution.gain))
    scale = np.nanmean(amplitude, axis=(1, 2, 3), keepdims=True)
    gain = np.where(solution.flag, 1, solution.gain / scale).astype(np.complex64)
    return replace(solution, gain=gain)


def member_gains(
    members: Sequence[Member],
    pre: np.ndarray,
    names: Sequence[str],
    reference: str,
    params: SolveParams,
    one: Callable[[Member], Solution] | None = None,
    report: Callable[[int, int, str], None] = lambda *_: None,
) -> MemberGains:
    """Solve one gain per antenna, hand and member against the sky model.

    A member of which more than ``degraded_gains_flagged`` of the gains fail keeps its bandpass only: gains of 1.

    Parameters
    ----------
    pre
        (chan, hand, antenna) bandpass [sqrt(counts/Jy)], 0 where flagged.
    one
        Solver of one member; default: StEFCal.
    """
    parts, lost, weak = [], [], []
    for done, member in enumerate(members):
        report(done, len(members), f"gains of {member.recording.unit}")
        neutral = unit_gains(member, pre)
        solved = neutral
        if member.sky is not None:
            solved = one(member) if one else _one_gain(member, pre, names, params)
        known = ~neutral.flag
        failed = float((solved.flag & known).sum() / max(known.sum(), 1))
        if member.sky is None or failed > params.degraded_gains_flagged:
            weak.append(member.recording.unit)
            lost.append(1.0)
            parts.append(neutral)
        else:
            lost.append(failed)
            parts.append(normalised(referenced(solved, names, (reference,))[0]))
    return MemberGains(stack(parts), float(np.mean(lost)), tuple(weak))


def short_phases(
    members: Sequence[Member],
    pre: np.ndarray,
    gains: Solution,
    names: Sequence[str],
    reference: str,
    params: SolveParams,
) -> Solution | None:
    """Solve phases over ``short_phase_s``; None if no member has a sky model.

    The bandpass ``pre`` (chan, hand, antenna) [sqrt(counts/Jy)] and the gains of the members are applied.
    """
    parts = []
    for member in members:
        recording = member.recording
        own = gains.fields.index(recording.unit)
        offset = recording.times_s - recording.times_s[0] + recording.interval_s / 2
        slots = (offset // params.short_phase_s).astype(np.int64)
        count = int(slots.max()) + 1
        sums = new_sums(count, 1, len(recording.hands), len(names))
        known = pre * gains.as_factor()[own]
        bins = band_bins(len(recording.freqs_hz), params.edge_fraction)
        _sum(sums, member, names, known.astype(np.complex64), bins, slots, params)
        if not sums.count.any():
            continue
        times = np.array([recording.times_s[slots == s].mean() for s in range(count)])
        lengths = np.full(count, params.short_phase_s)
        solved = solve(sums, params, times, lengths, [recording.unit] * count)
        solved, _ = referenced(solved, names, (reference,))
        phase = np.where(solved.flag, 1, solved.gain / np.maximum(np.abs(solved.gain), 1e-30))
        parts.append(replace(solved, gain=phase.astype(np.complex64)))
    return stack(parts) if parts else None
