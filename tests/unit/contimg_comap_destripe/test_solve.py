from __future__ import annotations

import numpy as np
import pytest

from contimg_comap_destripe.solve import Samples, destripe


def drawn(n: int = 20000, length: int = 50, pixels: int = 400, seed: int = 2) -> tuple[Samples, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    sky, offsets = rng.normal(0, 1, pixels), rng.normal(0, 3, n // length)
    pixel = rng.integers(0, pixels, n).astype(np.int32)
    data = (sky[pixel] + np.repeat(offsets, length)).astype(np.float32)
    weight = rng.uniform(0.5, 2.0, n // length)
    return Samples(data, pixel, weight, length, pixels), sky, offsets


def test_without_noise_the_sky_comes_back_but_for_its_mean():
    samples, sky, _ = drawn()
    found = destripe(samples, 0.0, 1e-10, 1000)
    difference = found.sky - sky
    np.testing.assert_allclose(difference - difference.mean(), 0.0, atol=1e-5)
    assert found.residual < 1e-10
    assert (found.naive - sky).std() > 0.05


def test_it_solves_the_normal_equations():
    samples, *_ = drawn(n=600, length=20, pixels=40)
    ridge = 1e-2
    found = destripe(samples, ridge, 1e-12, 1000)
    n = len(samples.data)
    p = np.zeros((n, 40))
    p[np.arange(n), samples.pixel] = 1
    f = np.kron(np.eye(n // 20), np.ones((20, 1)))
    w = np.repeat(samples.weight, 20)
    z = np.eye(n) - p @ np.linalg.solve(p.T @ (w[:, None] * p), (w[:, None] * p).T)
    own = f.T @ w
    left = f.T @ (w[:, None] * z) @ f + ridge * np.median(own) * np.eye(len(own))
    a = np.linalg.solve(left, f.T @ (w * (z @ samples.data)))
    expected = np.linalg.solve(p.T @ (w[:, None] * p), p.T @ (w * (samples.data - f @ a)))
    np.testing.assert_allclose(found.sky, expected, atol=1e-8)


def test_samples_that_are_left_out_have_no_part():
    samples, sky, _ = drawn()
    data, pixel = samples.data.copy(), samples.pixel.copy()
    data[::7] = 1e6
    pixel[::7] = -1
    found = destripe(Samples(data, pixel, samples.weight, samples.length, samples.hit_pixels), 0.0, 1e-10, 1000)
    difference = found.sky - sky
    np.testing.assert_allclose(difference - difference.mean(), 0.0, atol=1e-4)
    assert found.hits.sum() == np.count_nonzero(pixel >= 0)


def test_nothing_to_solve_is_solved_at_once():
    samples, *_ = drawn()
    flat = Samples(np.zeros_like(samples.data), samples.pixel, samples.weight, samples.length, samples.hit_pixels)
    found = destripe(flat, 1e-4, 1e-6, 10)
    assert (found.iterations, found.residual) == (0, 0.0)


@pytest.mark.parametrize("most", [1, 3])
def test_too_few_iterations_are_told(most):
    samples, *_ = drawn()
    found = destripe(samples, 1e-4, 1e-12, most)
    assert found.iterations == most
    assert found.residual > 1e-12
