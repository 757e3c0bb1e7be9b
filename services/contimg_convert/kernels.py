"""The loops over all visibilities. They release the GIL and are run in threads over rows: cheap to compile."""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np

__all__ = ["clip", "place", "power"]

LIGHT = 299792458.0


@nb.njit(cache=True, nogil=True)
def place(  # noqa: PLR0913, PLR0917 - numba kernel: plain arrays
    vis: Any,
    flags: Any,
    samples: Any,
    row: Any,
    turned: Any,
    shift: Any,
    first_hz: float,
    step_hz: float,
    out: Any,
    out_flag: Any,
    weight: Any,
    live: Any,
    wrong: Any,
    first: int,
    last: int,
) -> None:
    """Copy one subband into its place: rows sorted, channels ascending, conjugated, phased, blanks flagged.

    ``out = conj(vis · exp(-2πi ν/c shift))``, conjugated once more for turned baselines; ``shift`` is w of the new
    centre minus w of the old one in pyuvdata's sense. Zeros and what is not finite become 0 and flagged; the latter
    are counted by row in ``wrong``.
    """
    channels, corrs = out.shape[1], out.shape[2]
    for r in range(first, last):
        s = row[r]
        angle = 2 * np.pi / LIGHT * shift[r]
        start = (angle * first_hz) % (2 * np.pi)
        re, im = np.cos(start), np.sin(start)
        step_re, step_im = np.cos(angle * step_hz), np.sin(angle * step_hz)
        for c in range(channels):
            for p in range(corrs):
                x, y = vis[s, c, p].real, -vis[s, c, p].imag
                good = np.isfinite(x) and np.isfinite(y)
                wrong[r] += not good
                good = good and (x != 0 or y != 0)
                a = x * re - y * im if good else 0.0
                b = x * im + y * re if good else 0.0
                out[r, c, p] = complex(a, -b if turned[r] else b)
                good = good and flags[s, c, p] == 0
                out_flag[r, c, p] = not good
                if good:
                    weight[r, p] += samples[s, c, p]
                    live[r, p] += 1
            re, im = re * step_re - im * step_im, re * step_im + im * step_re


@nb.njit(cache=True, nogil=True)
def power(  # noqa: PLR0913, PLR0917 - numba kernel: plain arrays
    vis: Any,
    flag: Any,
    time_index: Any,
    cross: Any,
    total: Any,
    count: Any,
    row_total: Any,
    row_count: Any,
    first: int,
    last: int,
) -> None:
    """Sum the power of unflagged cross-correlations per (time, channel, correlation) and the amplitude per row."""
    for r in range(first, last):
        if not cross[r]:
            continue
        t = time_index[r]
        for c in range(vis.shape[1]):
            for p in range(vis.shape[2]):
                if not flag[r, c, p]:
                    v = vis[r, c, p]
                    square = v.real * v.real + v.imag * v.imag
                    total[t, c, p] += square
                    count[t, c, p] += 1
                    row_total[r, p] += np.sqrt(square)
                    row_count[r, p] += 1


@nb.njit(cache=True, nogil=True)
def clip(  # noqa: C901 - numba kernel: plain arrays
    vis: Any,
    flag: Any,
    rows: Any,
    starts: Any,
    block: int,
    sigma: float,
    first: int,
    last: int,
) -> None:
    """Flag amplitudes above median + sigma · 1.4826 MAD of their baseline, correlation and block of channels."""
    channels = vis.shape[1]
    for b in range(first, last):
        mine = rows[starts[b] : starts[b + 1]]
        amplitude = np.empty(len(mine) * block, np.float32)
        for p in range(vis.shape[2]):
            for low in range(0, channels, block):
                high = min(channels, low + block)
                n = 0
                for r in mine:
                    for c in range(low, high):
                        if not flag[r, c, p]:
                            amplitude[n] = abs(vis[r, c, p])
                            n += 1
                if n < 8:
                    continue
                middle = np.median(amplitude[:n])
                limit = middle + sigma * 1.4826 * np.median(np.abs(amplitude[:n] - middle))
                for r in mine:
                    for c in range(low, high):
                        if abs(vis[r, c, p]) > limit:
                            flag[r, c, p] = True
