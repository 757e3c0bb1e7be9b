"""Sky models: the visibilities of point sources, seen through a beam that may change with time."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np

from contimg.machine import in_threads
from contimg.radio.ms.read import Recording
from contimg_solve.data import Block

__all__ = ["Sky", "point", "visibilities"]

_C = 299792458.0


@dataclass(frozen=True)
class Sky:
    """Point sources as one recording sees them."""

    lmn: np.ndarray
    """(source, 3) direction cosines l, m, n - 1 from the phase centre."""
    flux_jy: np.ndarray
    """(time, source, chan) float32, apparent Stokes I [Jy]."""


def point(recording: Recording, flux_jy: np.ndarray) -> Sky:
    """Return a source of flux ``flux_jy`` (chan,) [Jy] at the phase centre."""
    flux = np.broadcast_to(flux_jy.astype(np.float32), (len(recording.times_s), 1, len(flux_jy)))
    return Sky(np.zeros((1, 3)), np.ascontiguousarray(flux))


@nb.njit(fastmath=True, cache=True, nogil=True)
def _add_source(flux, d, first, step, z, real, imag):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Add flux x exp(i d f); 16 neighbouring channels turn together, which fits vector registers."""
    zr, zi = z[0], z[1]
    ar, ai, br, bi = np.cos(d * first), np.sin(d * first), np.cos(d * step), np.sin(d * step)
    for k in range(16):
        zr[k], zi[k] = ar, ai
        ar, ai = ar * br - ai * bi, ar * bi + ai * br
    wr, wi = np.float32(np.cos(d * step * 16)), np.float32(np.sin(d * step * 16))
    for c in range(len(flux) // 16):
        f, re, im = flux[c * 16 : c * 16 + 16], real[c * 16 : c * 16 + 16], imag[c * 16 : c * 16 + 16]
        for k in range(16):
            a, b = zr[k], zi[k]
            re[k] += f[k] * a
            im[k] += f[k] * b
            zr[k] = a * wr - b * wi
            zi[k] = a * wi + b * wr


@nb.njit(cache=True, nogil=True)
def _predict(uvw, time, lmn, flux, first, step, z, acc, out, low, high):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202, PLR0913, PLR0917 - arrays of one hot loop
    """Fill rows ``low`` to ``high``; ``z`` (2, 16) and ``acc`` (2, chan) are room to work in, float32."""
    for r in range(low, high):
        for c in range(acc.shape[1]):
            acc[0, c] = acc[1, c] = 0
        for s in range(lmn.shape[0]):
            d = 2 * np.pi / _C * (uvw[r, 0] * lmn[s, 0] + uvw[r, 1] * lmn[s, 1] + uvw[r, 2] * lmn[s, 2])
            _add_source(flux[time[r], s], d, first, step, z, acc[0], acc[1])
        for c in range(out.shape[1]):
            out[r, c] = complex(acc[0, c], acc[1, c])


def visibilities(sky: Sky, block: Block, freqs_hz: np.ndarray) -> np.ndarray:
    """Return (row, chan) complex64 visibilities of a sky [Jy], sum I exp(+2 pi i (ul + vm + w(n-1)) f / c).

    The sign is that of a measurement set's uvw. Sources are not smeared over an integration or a channel.
    """
    out = np.empty((len(block.uvw), len(freqs_hz)), np.complex64)
    step = float(freqs_hz[1] - freqs_hz[0]) if len(freqs_hz) > 1 else 0.0
    padded = np.pad(sky.flux_jy, ((0, 0), (0, 0), (0, -len(freqs_hz) % 16)))  # the kernel takes 16 channels at once

    def work(low: int, high: int) -> None:
        z, acc = np.zeros((2, 16), np.float32), np.zeros((2, padded.shape[2]), np.float32)
        _predict(block.uvw, block.time, sky.lmn, padded, float(freqs_hz[0]), step, z, acc, out, low, high)

    in_threads(work, range(len(out) + 1))
    return out
