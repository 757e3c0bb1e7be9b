"""The calibrated copy of a measurement set, block of rows by block of rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contimg.radio.ms.edit import Edited, edited
from contimg.radio.ms.read import BLOCK_BYTES, Block, Recording
from contimg_apply.correct import Rows, antenna_noise, clip, correct, noise_sums

__all__ = ["Outcome", "calibrate"]


@dataclass(frozen=True)
class Outcome:
    """What was found while calibrating."""

    flagged: float
    """Fraction of cross-correlations flagged."""
    clipped: float
    """Fraction of cross-correlations flagged by the clip."""
    noise_jy: float | None
    """Median noise of a visibility (real or imaginary part) [Jy]."""


def calibrate(
    recording: Recording,
    gain: NDArray[np.complex64],
    clip_mad: float,
    *,
    report: Callable[[int, int, str], None] = lambda *_: None,
    block_bytes: int = BLOCK_BYTES,
) -> Outcome:
    """Calibrate DATA of a measurement set in place; WEIGHT becomes the inverse variance in Jy^-2.

    Parameters
    ----------
    recording
        A writable measurement set.
    gain
        On its times and channels, shape (time, chan, receptor, antenna) [sqrt(counts / Jy)]; 0 where there is none.
    clip_mad
        Limit of :func:`~contimg_apply.correct.clip`; 0: no clip.
    report
        Told after each block: rows done, rows in all, what.
    block_bytes
        Visibilities held at once [bytes].
    """
    receptors = recording.receptors
    nant, ncorr = len(recording.antennas), len(recording.corr_types)
    sums = np.zeros((2, nant, nant, ncorr))
    tally = np.zeros(3)  # cross-correlations, flagged, clipped
    ants: list[list[NDArray[np.int32]]] = [[], []]
    power, weight = [], []
    with edited(recording) as ms:
        for block in ms.blocks(block_bytes):
            power.append(_block(ms, block, gain, receptors, clip_mad, tally, sums))
            weight.append(block.weight[:, 0])
            ants[0].append(block.ant1)
            ants[1].append(block.ant2)
            report(block.start + len(block.vis), ms.rows, "rows calibrated")
        one, two = np.concatenate(ants[0]), np.concatenate(ants[1])
        noise = _put_weights(ms, np.concatenate(weight), np.concatenate(power), antenna_noise(*sums), (one, two))
    return Outcome(tally[1] / max(tally[0], 1), tally[2] / max(tally[0], 1), noise)


def _block(
    ms: Edited,
    block: Block,
    gain: NDArray[np.complex64],
    receptors: tuple[NDArray[np.int64], NDArray[np.int64]],
    clip_mad: float,
    tally: NDArray[np.float64],
    sums: NDArray[np.float64],
) -> NDArray[np.float32]:
    """Calibrate some rows; return the mean power of their gains (row, corr) over channels that are not flagged."""
    vis, flag = block.vis, block.flag
    rows = Rows(block.ant1.astype(np.int64), block.ant2.astype(np.int64), block.time, *receptors)
    power = correct(vis, flag, gain, rows)
    clipped = clip(vis, flag, power, clip_mad) if clip_mad > 0 else 0
    sums += noise_sums(vis, flag, power, block.weight[:, 0], rows, sums.shape[1])
    ms.put(block)
    cross = flag[block.ant1 != block.ant2]
    tally += [cross.size, cross.sum(), clipped]
    return np.asarray((power * ~flag).sum(axis=1) / np.maximum((~flag).sum(axis=1), 1), np.float32)


def _put_weights(
    ms: Edited,
    weight: NDArray[np.float32],
    power: NDArray[np.float32],
    factors: NDArray[np.float64],
    ants: tuple[NDArray[np.int32], NDArray[np.int32]],
) -> float | None:
    """Write the weights from the old ones, the mean gains and the noise; return the median noise [Jy]."""
    new = (weight * power / (factors[ants[0]] * factors[ants[1]])).astype(np.float32)
    new[~np.isfinite(new)] = 0
    sigma = ms.put_weight(new)
    good = sigma[(ants[0] != ants[1])[:, None] & (sigma > 0)]
    return float(np.median(good)) if good.size else None
