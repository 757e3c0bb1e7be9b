"""Experiment D (T18, T19): what the destriper takes off, and what it costs."""

from __future__ import annotations

import time

import numpy as np
import pytest

from contimg_comap_destripe.solve import Samples, Solution, destripe

pytestmark = [pytest.mark.science]
SIDE, DT, SIGMA = 241, 0.02, 0.03


def experiment(
    n_all: int, feeds: int, length: int, knee: float = 1.0, alpha: float = -1.5
) -> tuple[Samples, np.ndarray]:
    rng = np.random.default_rng(1234)
    y, x = np.mgrid[:SIDE, :SIDE]
    sky = 0.05 * np.exp(-0.5 * ((y - 120.5) / 20) ** 2)
    for _ in range(30):
        a, cx, cy = rng.uniform(0.02, 0.5), rng.uniform(20, 221), rng.uniform(20, 221)
        sky += a * np.exp(-0.5 * ((x - cx) ** 2 + (y - cy) ** 2) / (4.5 / 2.355) ** 2)
    shift = rng.uniform(-12, 12, (feeds, 2))
    n = n_all // feeds // length * length
    t = np.arange(n) * DT
    data, pixel = [], []
    for k in range(feeds):
        f = np.fft.rfftfreq(n, DT)
        f[0] = f[1]
        red = np.fft.irfft(np.fft.rfft(rng.normal(0, SIGMA, n)) * np.sqrt((f / knee) ** alpha), n)
        px = 120.5 + 95 * np.sin(2 * np.pi * 0.061 * t + 0.3 * k) + shift[k, 0]
        py = 120.5 + 95 * np.sin(2 * np.pi * 0.0837 * t + 1.1 * k) + shift[k, 1]
        where = np.clip(py.astype(int), 0, SIDE - 1) * SIDE + np.clip(px.astype(int), 0, SIDE - 1)
        data.append(sky.flat[where] + red - red.mean() + rng.normal(0, SIGMA, n))
        pixel.append(where)
    places, index = np.unique(np.concatenate(pixel), return_inverse=True)
    weight = np.full(n * feeds // length, SIGMA**-2)
    samples = Samples(np.concatenate(data).astype(np.float32), index.astype(np.int32), weight, length, len(places))
    return samples, sky.flat[places]


def residual(values: np.ndarray, sky: np.ndarray, found: Solution) -> float:
    good = found.hits > 20
    left, hits = (values - sky)[good], found.hits[good]
    return float(np.sqrt(np.average((left - np.average(left, weights=hits)) ** 2, weights=hits)))


def white(found: Solution) -> float:
    hits = found.hits[found.hits > 20]
    return float(np.sqrt(np.average(SIGMA**2 / hits, weights=hits)))


@pytest.mark.parametrize(
    ("length", "knee", "alpha", "reduction", "excess"),
    [(100, 1.0, -1.5, 3.2, 1.15), (50, 1.0, -1.5, 3.2, 1.125), (100, 10.0, -2.0, 37, None), (20, 10.0, -2.0, 60, None)],
)
def test_t18_t19(length, knee, alpha, reduction, excess):
    samples, sky = experiment(1_000_000, 4, length, knee, alpha)
    found = destripe(samples, 1e-4, 1e-6, 1000)
    naive, left = residual(found.naive, sky, found), residual(found.sky, sky, found)
    print(f"D L={length}: {naive:.5f} -> {left:.5f} (x {naive / left:.2f}), {left / white(found):.3f} x white")
    assert naive / left >= reduction * (0.995 if reduction > 30 else 1)
    assert excess is None or left / white(found) <= excess


def test_cost_of_a_multiplication():
    samples, _ = experiment(1_000_000, 4, 100)
    destripe(samples, 1e-4, 1e-1, 1)
    start = time.process_time()
    found = destripe(samples, 1e-4, 1e-6, 1000)
    each = (time.process_time() - start) / found.iterations / len(samples.data) * 1e9
    print(f"D: {each:.2f} ns per sample and iteration")
    assert each < 8.0
