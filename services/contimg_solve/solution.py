"""What a solve yields, and the rules that make it usable: flags, noisy antennas, reference phase, gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from contimg.errors import DataQuality
from contimg.radio.caltable import CalTable, Field
from contimg_solve.params import SolveParams
from contimg_solve.stefcal import Sums, solve_gains

__all__ = ["Solution", "fill_gaps", "phase_scatter_deg", "referenced", "require", "solve", "stack"]


@dataclass(frozen=True)
class Solution:
    """Gains of shape (time, chan, hand, antenna); one channel means all channels, one time all times."""

    gain: np.ndarray
    """complex64; 1 where flagged."""
    flag: np.ndarray
    """bool."""
    snr: np.ndarray
    """float32, amplitude over its standard error."""
    live: np.ndarray
    """(antenna,) bool: had data."""
    times_s: np.ndarray
    """(time,) middle of each solution, MJD in seconds."""
    intervals_s: np.ndarray
    """(time,)."""
    fields: tuple[str, ...]
    """(time,) name of the field each was solved on."""

    def flagged(self) -> float:
        """Return the fraction of flagged solutions of antennas that had data."""
        return float(self.flag[..., self.live].mean()) if self.live.any() else 1.0

    def median_snr(self) -> float:
        """Return the median over solutions that are not flagged, NaN if there are none."""
        good = self.snr[~self.flag]
        return float(np.median(good)) if good.size else float("nan")

    @classmethod
    def from_table(cls, found: CalTable, names: Sequence[str]) -> Solution:
        """Return what a table says of some antennas."""
        mine = found.of(names)
        live = np.asarray(~mine.flag.all(axis=(0, 1, 2)))
        fields = tuple(mine.fields[k].name for k in mine.slot_fields)
        return cls(mine.gain, mine.flag, mine.snr, live, mine.times_s, mine.intervals_s, fields)

    def as_table(self, names: Sequence[str], fields: Sequence[Field], freqs_hz: NDArray[np.float64]) -> CalTable:
        """Return a table of these gains; those of one channel belong to the middle of the band.

        Parameters
        ----------
        names
            Of the antennas.
        fields
            Places of all names in ``fields`` of this solution.
        freqs_hz
            Channels of the data, shape (chan,) [Hz].
        """
        one = self.gain.shape[1] == 1
        listed = [place.name for place in fields]
        return CalTable(
            antennas=tuple(names),
            gain=self.gain,
            flag=self.flag,
            snr=self.snr,
            times_s=self.times_s,
            intervals_s=self.intervals_s,
            slot_fields=np.array([listed.index(name) for name in self.fields], np.int32),
            fields=tuple(fields),
            freqs_hz=np.array([freqs_hz.mean()]) if one else freqs_hz,
        )

    def as_factor(self) -> np.ndarray:
        """Return the gains (time, chan, hand, antenna) [sqrt(counts/Jy)], 0 where flagged: such data are left out."""
        return np.where(self.flag, 0, self.gain).astype(np.complex64)


def solve(
    sums: Sums, params: SolveParams, times_s: np.ndarray, intervals_s: np.ndarray, fields: Sequence[str]
) -> Solution:
    """Solve the sums, flag what fails, cut noisy antennas and solve again. Phases have no reference yet.

    Middles and lengths of the solutions have shape (time,) [s].

    Raises
    ------
    DataQuality
        If there is no unflagged visibility at all.
    """
    live = np.array([sums.count[:, row[row >= 0]].any() for row in sums.baseline])
    if not live.any():
        raise DataQuality(f"no unflagged visibilities of {', '.join(sorted(set(fields)))} to solve gains from")
    gain, error, noise = solve_gains(sums, live, params.min_baselines)
    noisy = _noisy(noise, live, params.noisy_factor)
    if noisy.any():
        gain, error, _ = solve_gains(sums, live & ~noisy, params.min_baselines)
    with np.errstate(divide="ignore", invalid="ignore"):
        snr = np.nan_to_num(np.abs(gain) / error, nan=0.0, posinf=1e6).clip(0, 1e6).astype(np.float32)
    flag = (gain == 0) | (snr < params.min_snr)
    return Solution(np.where(flag, 1, gain).astype(np.complex64), flag, snr, live, times_s, intervals_s, tuple(fields))


def _noisy(noise: np.ndarray, live: np.ndarray, factor: float) -> np.ndarray:
    """Return the antennas whose noise, relative to their gain, is ``factor`` times the median antenna's."""
    level = np.full(len(live), np.nan)
    seen = live & np.isfinite(noise).any(axis=(0, 1, 2))
    level[seen] = np.nanmedian(noise[..., seen], axis=(0, 1, 2))
    if not seen.any() or not np.nanmedian(level) > 0:
        return np.zeros(len(live), bool)
    return np.asarray(seen & (_factors(level) > factor))


def _factors(level: np.ndarray) -> np.ndarray:
    """Return s, relative to its median, from levels that are means of ``s_i s_j`` over the other antennas j.

    A noisy antenna raises the levels of all others; their own s stay as they are.
    """
    known = np.isfinite(level)
    value, count = level[known], int(known.sum())
    s = np.sqrt(value)
    for _ in range(50):
        s = 0.5 * (s + value * (count - 1) / np.maximum(s.sum() - s, 1e-30))
    factors = np.full(len(level), np.nan)
    factors[known] = s / np.median(s)
    return factors


def require(solution: Solution, params: SolveParams) -> Solution:
    """Return a bandpass unless all of it is flagged.

    Raises
    ------
    DataQuality
        If no solution reaches ``min_snr``.
    """
    if solution.flag.all():
        raise DataQuality(
            f"no bandpass solution on {solution.fields[0]} reaches min_snr = {params.min_snr:g}; take another"
        )
    return solution


def stack(parts: Sequence[Solution]) -> Solution:
    """Join solutions of several recordings along time, in order of time."""
    order = np.argsort([p.times_s[0] for p in parts], kind="stable")
    parts = [parts[k] for k in order]
    return Solution(
        gain=np.concatenate([p.gain for p in parts]),
        flag=np.concatenate([p.flag for p in parts]),
        snr=np.concatenate([p.snr for p in parts]),
        live=np.asarray(np.any([p.live for p in parts], axis=0)),
        times_s=np.concatenate([p.times_s for p in parts]),
        intervals_s=np.concatenate([p.intervals_s for p in parts]),
        fields=tuple(f for p in parts for f in p.fields),
    )


def referenced(solution: Solution, names: Sequence[str], wanted: Sequence[str]) -> tuple[Solution, str]:
    """Give the reference antenna phase zero.

    It is the first wanted antenna with at least half of its solutions, else the antenna with most. Where it
    has none itself, the next antennas stand in with their mean phase against it.

    Returns
    -------
    Solution, str
        The solution and the name of the reference antenna.
    """
    share = 1 - solution.flag.mean(axis=(0, 1, 2))
    order = [names.index(name) for name in wanted if name in names]
    order = [k for k in order if share[k] >= 0.5]
    order += [int(k) for k in np.argsort(-share, kind="stable") if k not in order]
    unit = np.where(solution.flag, 0, solution.gain / np.maximum(np.abs(solution.gain), 1e-30))
    phasor = unit[..., order[0]].copy()
    for k in order[1:]:
        if (phasor != 0).all():
            break
        offset = np.sum(unit[..., k] * np.conj(unit[..., order[0]]), axis=(0, 1))
        offset = np.where(offset == 0, 1, offset / np.maximum(np.abs(offset), 1e-30))
        phasor = np.where(phasor == 0, unit[..., k] * np.conj(offset), phasor)
    turned = solution.gain * np.conj(np.where(phasor == 0, 1, phasor))[..., None]
    gain = np.where(solution.flag, 1, turned).astype(np.complex64)
    return replace(solution, gain=gain), names[order[0]]


def fill_gaps(solution: Solution, longest: int) -> Solution:
    """Interpolate amplitude and phase over runs of at most ``longest`` flagged channels between solved ones."""
    gain, flag, snr = solution.gain.copy(), solution.flag.copy(), solution.snr.copy()
    for t, h, a in np.ndindex(gain.shape[0], gain.shape[2], gain.shape[3]):
        good = np.flatnonzero(~solution.flag[t, :, h, a])
        for k in np.flatnonzero((np.diff(good) > 1) & (np.diff(good) <= longest + 1)):
            left, right = good[k], good[k + 1]
            inside = slice(left + 1, right)
            part = np.arange(1, right - left) / (right - left)
            first, last = solution.gain[t, left, h, a], solution.gain[t, right, h, a]
            amplitude = abs(first) + part * (abs(last) - abs(first))
            phase = np.angle(first) + part * np.angle(last * np.conj(first))
            gain[t, inside, h, a] = amplitude * np.exp(1j * phase)
            flag[t, inside, h, a] = False
            snr[t, inside, h, a] = min(solution.snr[t, left, h, a], solution.snr[t, right, h, a])
    return replace(solution, gain=gain, flag=flag, snr=snr)


def phase_scatter_deg(solution: Solution) -> float:
    """Return the scatter of bandpass phases about a smooth run over the channels [deg].

    Second differences of neighbouring channels are free of offsets and delays; noise of unit variance makes them
    six times as variable. Median over antennas and hands of the standard deviations; NaN if too few are solved.
    """
    g = np.where(solution.flag, 0, solution.gain)[0]
    if len(g) < 3:
        return float("nan")
    triple = g[2:] * np.conj(g[1:-1]) ** 2 * g[:-2]
    phase = np.where(triple == 0, np.nan, np.angle(triple))
    enough = np.isfinite(phase).sum(axis=0) >= 3
    if not enough.any():
        return float("nan")
    return float(np.degrees(np.median(np.nanstd(phase[:, enough], axis=0))) / np.sqrt(6))
