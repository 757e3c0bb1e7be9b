"""Experiment N: medians of many noise fits (T9, T10)."""

from __future__ import annotations

import numpy as np
import pytest

from contimg_comap_level2.noise2 import fit_noise

pytestmark = [pytest.mark.science]
N, DT = 9000, 0.02


def series(seed: int, white: float, red: float, alpha: float) -> np.ndarray:
    rng = np.random.default_rng(seed)
    f = np.fft.rfftfreq(8 * N, DT)
    f[0] = f[1]
    power = red**2 * (f / 0.1) ** alpha
    drawn = np.fft.irfft(np.fft.rfft(rng.normal(size=8 * N)) * np.sqrt(power))[:N] if red else np.zeros(N)
    return drawn + rng.normal(0, white, N)


@pytest.mark.parametrize(("white", "red", "alpha"), [(0.03, 0.1, -1.5), (0.03, 0.3, -1.0), (0.03, 3.0, -2.0)])
def test_t9_medians_of_a_hundred(white, red, alpha):
    fits = [fit_noise(series(seed, white, red, alpha), DT) for seed in range(100)]
    found = [float(np.median([getattr(fit, name) for fit in fits])) for name in ("sigma_white", "sigma_red", "alpha")]
    print("N", (white, red, alpha), found)
    assert found[0] == pytest.approx(white, rel=0.02)
    assert found[1] == pytest.approx(red, rel=0.05)
    assert found[2] == pytest.approx(alpha, abs=0.05)


def test_t10_white_noise_alone_is_never_zero():
    found = np.array([fit_noise(series(seed, 0.03, 0.0, 0.0), DT).sigma_white for seed in range(100)])
    print("N white", np.median(found), found.min())
    assert np.median(found) == pytest.approx(0.03, rel=0.01)
    assert found.min() > 0.027
