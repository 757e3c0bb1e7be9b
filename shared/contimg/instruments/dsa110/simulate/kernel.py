"""The one hot loop: a direct sum over point sources for every pair of antennas, time and channel."""

from __future__ import annotations

import numba as nb
import numpy as np

__all__ = ["direct_sum"]


@nb.njit(cache=True, nogil=True, fastmath=True)
def direct_sum(delay, amplitude, first_hz, step_hz, one, two, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - a numba kernel
    """Fill ``out`` (T, B, F) with the sum of amplitude * exp(2 pi i nu (delay of antenna two - delay of antenna one)).

    ``delay`` (T, A, S) [s], ``amplitude`` (T, F, S), ``one`` and ``two`` (B,). Channels are equally spaced, so a phasor
    goes from one to the next by one multiplication.
    """
    times, antennas, sources = delay.shape
    re, im = np.empty((antennas, sources)), np.empty((antennas, sources))
    turn_re, turn_im = np.empty((antennas, sources)), np.empty((antennas, sources))
    for t in range(times):
        for a in range(antennas):
            for s in range(sources):
                phase, step = 2 * np.pi * delay[t, a, s] * first_hz, 2 * np.pi * delay[t, a, s] * step_hz
                re[a, s], im[a, s] = np.cos(phase), np.sin(phase)
                turn_re[a, s], turn_im[a, s] = np.cos(step), np.sin(step)
        for f in range(amplitude.shape[1]):
            for b in range(one.size):
                i, j = one[b], two[b]
                real, imaginary = 0.0, 0.0
                for s in range(sources):
                    flux = amplitude[t, f, s]
                    real += flux * (re[i, s] * re[j, s] + im[i, s] * im[j, s])
                    imaginary += flux * (re[i, s] * im[j, s] - im[i, s] * re[j, s])
                out[t, b, f] = complex(real, imaginary)
            for a in range(antennas):
                for s in range(sources):
                    x = re[a, s] * turn_re[a, s] - im[a, s] * turn_im[a, s]
                    im[a, s] = re[a, s] * turn_im[a, s] + im[a, s] * turn_re[a, s]
                    re[a, s] = x
