"""Laws of gridding, CLEAN and restoring that hold for any visibilities, tried on many; nothing is read from disk."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.models.quality import Verdict
from contimg.radio.gaussians import Beam
from contimg_image.channels import channel_bins, selected_channels
from contimg_image.clean import Clark, Multiscale, _kernel
from contimg_image.deconvolve import Cleaned, Limits, _ended, deconvolve, inner_mask, mad_rms
from contimg_image.gridder import Gridder
from contimg_image.header import tag
from contimg_image.params import ImageParams
from contimg_image.restoring import fit_beam, gaussian, restore
from contimg_image.stage import _figures
from contimg_image.visibilities import Visibilities, average
from contimg_image.weighting import imaging_weights, thermal_rms

C = 299792458.0
FREQ = np.array([1.40e9, 1.42e9])
CELL = np.radians(10 / 3600)
FEW = settings(max_examples=10, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def coverage(seed=1, rows=400, reach=600.0):
    """A filled disc of baselines [m], with w terms."""
    rng = np.random.default_rng(seed)
    radius, angle = reach * np.sqrt(rng.random(rows)), rng.uniform(0, 2 * np.pi, rows)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), rng.normal(0, 50, rows)], axis=1)


def point_source(uvw, x, y, size, flux=1.0):
    """Visibilities of a source at a fractional pixel, as a direct sum."""
    l, m = -(x - size // 2) * CELL, (y - size // 2) * CELL
    turns = uvw @ np.array([l, m, np.sqrt(1 - l**2 - m**2) - 1])
    return (flux * np.exp(2j * np.pi * turns[:, None] * FREQ / C)).astype(np.complex64)


def gridder_of(uvw, size=64, weight=None):
    weight = np.ones((len(uvw), len(FREQ)), np.float32) if weight is None else weight
    return Gridder(uvw, FREQ, weight, size, CELL)


def random_vis(seed, uvw):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(len(uvw), 2)) + 1j * rng.normal(size=(len(uvw), 2))).astype(np.complex64)


@given(seeds, st.floats(-5, 5), st.floats(-5, 5), st.sampled_from([64, 65]))
@FEW
def test_dirty_image_is_linear_in_the_data(seed, a, b, size):
    uvw = coverage(seed % 1000)
    first, second, gridder = random_vis(seed, uvw), random_vis(seed + 1, uvw), gridder_of(uvw, size)
    whole = gridder.dirty((a * first + b * second).astype(np.complex64))
    parts = a * gridder.dirty(first) + b * gridder.dirty(second)
    assert np.abs(whole - parts).max() < 1e-3 * (1 + abs(a) + abs(b))


@given(seeds)
@FEW
def test_prediction_is_the_adjoint_of_imaging(seed):
    """<V, predict(m)> = sum(w) <dirty(V), m> for any V and m."""
    rng, uvw = np.random.default_rng(seed), coverage(seed % 1000)
    weight = rng.uniform(0.5, 2, (len(uvw), 2)).astype(np.float32)
    gridder, data = gridder_of(uvw, 64, weight), random_vis(seed, uvw)
    model = rng.normal(size=(64, 64)).astype(np.float32)
    left = float((weight * (data.conj() * gridder.predict(model)).real).sum(dtype=float))
    right = float(weight.sum(dtype=float) * (gridder.dirty(data) * model).sum(dtype=float))
    assert left == pytest.approx(right, rel=2e-3, abs=1e-3 * float(np.sqrt(weight.sum()) * np.linalg.norm(model)))


@given(seeds, st.floats(0.01, 100))
@FEW
def test_common_factor_of_the_weights_leaves_the_image(seed, k):
    uvw = coverage(seed % 1000)
    data, ones = random_vis(seed, uvw), np.ones((len(uvw), 2), np.float32)
    plain, scaled = (gridder_of(uvw, 64, weight).dirty(data) for weight in (ones, ones * np.float32(k)))
    assert np.abs(plain - scaled).max() < 1e-4


@given(seeds)
@FEW
def test_conjugate_baselines_make_the_same_image(seed):
    uvw = coverage(seed % 1000)
    data = random_vis(seed, uvw)
    turned = gridder_of(-uvw).dirty(data.conj())
    assert np.abs(turned - gridder_of(uvw).dirty(data)).max() < 1e-3


@pytest.mark.parametrize("size", [33, 64])
def test_data_of_weight_zero_do_not_count(size):
    uvw, weight = coverage(), np.ones((400, 2), np.float32)
    data = point_source(uvw, size // 2 + 3, size // 2 - 2, size)
    weight[:100], data[:100] = 0, 1e3
    image = gridder_of(uvw, size, weight).dirty(data)
    assert image[size // 2 - 2, size // 2 + 3] == pytest.approx(1, abs=1e-3)


@given(st.floats(20, 44), st.floats(20, 44), st.floats(0.01, 100))
@FEW
def test_clean_keeps_the_flux_and_place_of_a_source_between_pixels(x, y, flux):
    uvw = coverage(reach=1100.0)
    found = deconvolve(
        gridder_of(uvw),
        point_source(uvw, x, y, 64, flux),
        lambda psf: Clark(psf, 0.2),
        Limits(threshold_jy=0.01 * flux),
    )
    assert found.model.sum() == pytest.approx(flux, rel=0.03)
    yy, xx = np.mgrid[:64, :64]
    assert (found.model * xx).sum() / found.model.sum() == pytest.approx(x, abs=0.2)
    assert (found.model * yy).sum() / found.model.sum() == pytest.approx(y, abs=0.2)
    assert np.abs(found.residual[inner_mask(64)]).max() < 0.1 * flux


def test_residual_is_what_the_model_does_not_explain():
    uvw = coverage()
    gridder, data = gridder_of(uvw), point_source(uvw, 30.4, 35.2, 64)
    found = deconvolve(gridder, data, lambda psf: Clark(psf, 0.1), Limits(max_iterations=40))
    assert 0 < found.iterations <= 40
    assert np.abs(found.residual - gridder.dirty(data - gridder.predict(found.model))).max() < 1e-5


def test_without_iterations_the_residual_is_the_dirty_image():
    uvw = coverage()
    gridder, data = gridder_of(uvw), point_source(uvw, 30, 35, 64)
    found = deconvolve(gridder, data, lambda psf: Clark(psf, 0.1), Limits(max_iterations=0))
    assert (found.iterations, found.majors, found.ended) == (0, 0, "iterations")
    assert not found.model.any()
    np.testing.assert_allclose(found.residual, gridder.dirty(data), atol=1e-6)


def test_empty_sky_is_not_cleaned():
    uvw = coverage()
    found = deconvolve(gridder_of(uvw), np.zeros((400, 2), np.complex64), lambda psf: Clark(psf, 0.1), Limits())
    assert (found.iterations, found.ended) == (0, "threshold")


@pytest.mark.parametrize(
    ("reached", "stalls", "iterations", "majors", "word"),
    [
        (True, 9, 99, 99, "threshold"),
        (False, 2, 99, 99, "stalled"),
        (False, 1, 10, 99, "iterations"),
        (False, 0, 9, 5, "majors"),
        (False, 1, 9, 4, ""),
    ],
)
def test_reasons_to_stop_have_an_order(reached, stalls, iterations, majors, word):
    assert _ended(reached, stalls, iterations, majors, Limits(max_iterations=10, max_majors=5)) == word


@given(st.integers(20, 44), st.integers(20, 44), st.floats(0.05, 1), st.floats(-10, 10))
@FEW
def test_each_component_takes_its_part_of_a_lone_peak(x, y, gain, flux):
    psf = np.zeros((64, 64), np.float32)
    psf[32, 32] = 1
    residual, model = np.zeros((64, 64), np.float32), np.zeros((64, 64), np.float32)
    residual[y, x] = flux
    done = Clark(psf, gain).run(residual, np.ones((64, 64), bool), 0.0, 3, model)
    assert done <= 3
    assert model[y, x] == pytest.approx(flux * (1 - (1 - gain) ** 3), rel=1e-4, abs=1e-6)
    assert np.count_nonzero(model) <= 1


@pytest.mark.parametrize("diameter", [0.0, 1.0, 5.0, 20.0])
@pytest.mark.parametrize("size", [64, 65])
def test_components_of_every_scale_have_unit_sum_and_are_round(diameter, size):
    kernel = _kernel(size, diameter)
    assert kernel.sum() == pytest.approx(1, rel=1e-5)
    assert kernel.argmax() == (size // 2) * size + size // 2
    np.testing.assert_allclose(kernel, kernel.T, atol=1e-9)
    assert kernel.min() >= 0
    assert (diameter < 2) == (np.count_nonzero(kernel) == 1)


def test_multiscale_of_points_alone_is_clark():
    size = 64
    psf = gaussian(Beam(40, 40, 0), size, CELL).astype(np.float32)
    sky = np.roll(psf, (4, -6), axis=(0, 1))
    everywhere, models = np.ones(sky.shape, bool), []
    for minor in (Clark(psf, 0.1), Multiscale(psf, 0.1, (0.0,))):
        model = np.zeros_like(sky)
        assert minor.peak(sky, everywhere) == pytest.approx(1, rel=1e-4)
        minor.run(sky, everywhere, 0.75, 100, model)
        models.append(model)
    np.testing.assert_allclose(models[0], models[1], atol=1e-4)


@given(st.floats(20, 120), st.floats(0.4, 1), st.floats(0, 179), st.floats(0.01, 100))
@FEW
def test_restoring_keeps_the_peak_of_a_point_and_its_integral_is_the_area_of_the_beam(major, ratio, pa, flux):
    beam, model = Beam(major, ratio * major, pa), np.zeros((96, 96), np.float32)
    model[48, 40] = flux
    image = restore(model, np.zeros_like(model), beam, CELL)
    assert image[48, 40] == pytest.approx(flux, rel=1e-4)
    assert image.max() == image[48, 40]
    if major > 40:  # else the pixels are too wide for a sum to be an integral
        area = np.pi * major * beam.minor_arcsec / (4 * np.log(2)) / 100
        assert image.sum() == pytest.approx(flux * area, rel=0.01)


@pytest.mark.parametrize("size", [63, 64])
def test_beam_of_a_disc_of_baselines_is_round_and_has_the_width_of_its_edge(size):
    beam = fit_beam(gridder_of(coverage(3, 4000, 1000.0), size).psf(), CELL)
    wanted = np.degrees(0.705 * C / FREQ.mean() / 1000.0) * 3600  # 2 J1(x) / x is 1/2 at x = 2.215
    assert beam.major_arcsec == pytest.approx(wanted, rel=0.06)
    assert beam.minor_arcsec == pytest.approx(beam.major_arcsec, rel=0.06)


def seen(uvw, weight):
    zeros, shape = np.zeros(len(uvw), np.int32), weight.shape
    data = np.ones(shape, np.complex64)
    return Visibilities(uvw, FREQ, data, weight, np.full(len(uvw), 2461065.5), zeros, zeros + 1, 10.0, (1.39e9, 1.43e9))


@given(seeds, st.sampled_from(["briggs", "uniform", "natural"]))
@FEW
def test_weights_stay_zero_where_they_were_and_positive_elsewhere(seed, weighting):
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.1, 5, (200, 2)).astype(np.float32) * (rng.random((200, 2)) < 0.7)
    made = imaging_weights(seen(coverage(1, 200), weight), 64, CELL, weighting, 0.5)
    np.testing.assert_array_equal(made == 0, weight == 0)
    assert (made >= 0).all()
    assert (made <= weight * 1.0001).all() or weighting == "uniform"


@given(seeds, st.permutations(range(20)))
@FEW
def test_order_of_the_rows_does_not_matter_to_weights(seed, order):
    uvw = coverage(seed % 1000, 20)
    weight = np.random.default_rng(seed).uniform(0.1, 5, (20, 2)).astype(np.float32)
    order = list(order)
    one = imaging_weights(seen(uvw, weight), 64, CELL, "briggs", 0.0)
    other = imaging_weights(seen(uvw[order], weight[order]), 64, CELL, "briggs", 0.0)
    np.testing.assert_allclose(other, one[order], rtol=1e-4)


@given(st.floats(0.01, 100), st.integers(1, 50))
@FEW
def test_noise_of_equal_data_falls_with_the_root_of_their_number(weight, n):
    same = np.full((n, 2), weight, np.float32)
    assert thermal_rms(same, same) == pytest.approx((2 * n * weight) ** -0.5, rel=1e-4)
    assert thermal_rms(same, 7 * same) == pytest.approx(thermal_rms(same, same), rel=1e-4)


def test_mean_frequency_and_span_follow_the_data():
    weight = np.array([[1, 3]], np.float32)
    vis = seen(np.zeros((1, 3)), weight)
    assert vis.mean_freq_hz == pytest.approx(1.415e9)
    start, end = vis.span_jd
    assert (end - start) * 86400 == pytest.approx(10.0, abs=1e-4)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_or_has_no_weight_never_reaches_an_average(bad):
    data, weight = np.ones((2, 4, 2), np.complex64), np.ones((2, 1, 2), np.float32)
    data[0, 1, 0] = bad
    weight[1, 0, 1] = 0
    total, sums = np.zeros((2, 1), np.complex64), np.zeros((2, 1), np.float32)
    average(data, np.zeros(data.shape, bool), weight, np.zeros(4, np.int32), total, sums)
    assert total[0, 0] == 1
    assert sums[:, 0].tolist() == [6.0, 0.0]  # three channels of weight 4 / (1 + 1)
    assert total[1, 0] == 0


def test_one_channel_is_one_average():
    assert selected_channels("0", 1) == [range(1)]
    assert channel_bins([range(1)], 99, 1).tolist() == [0]


def test_noise_of_an_image_ignores_blanks_and_bright_pixels():
    image = np.random.default_rng(1).normal(size=(100, 100)).astype(np.float32)
    image[:5] = np.nan
    image[50:55, 50:55] = 1e6
    assert mad_rms(image) == pytest.approx(1.0, abs=0.03)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (100.0, Verdict.PASS),
        (99.9, Verdict.DEGRADED),
        (30.0, Verdict.DEGRADED),
        (29.9, Verdict.FAILED),
        (float("nan"), Verdict.DEGRADED),
    ],
)
def test_gate_of_the_dynamic_range(value, wanted):
    empty = np.zeros((1, 1), np.float32)
    cleaned = Cleaned(empty, empty, empty, 7, 2, "threshold")
    measured = {"rms": 1.0, "rms_mad": 1.0, "thermal_rms": 1.0, "peak": 1.0, "dynamic_range": value}
    made = {f.name: f for f in _figures(ImageParams(), measured, Beam(30, 20, 10), cleaned)}
    assert made["image.dynamic_range"].verdict is wanted
    assert {name for name, figure in made.items() if figure.limit} == {"image.dynamic_range"}
    assert made["image.rms"].unit == "Jy/beam"
    assert (made["image.beam_major"].value, made["image.beam_major"].unit) == (30, "arcsec")
    assert (made["image.iterations"].value, made["image.majors"].value) == (7, 2)


@given(st.floats(0.5, 60).map(lambda c: round(c, 2)), st.integers(32, 32768), st.floats(-2, 2))
@FEW
def test_tag_tells_cells_sizes_and_weightings_apart(cell, size, robust):
    def tagged(**more):
        return tag(ImageParams(**({"cell_arcsec": cell, "size": size, "robust": robust} | more)))

    others = {tagged(), tagged(cell_arcsec=cell + 1), tagged(size=33 if size == 32 else size - 1)}
    others |= {tagged(weighting=word) for word in ("uniform", "natural")}
    assert len(others) == 5
    assert not any(set(word) & set("/ ;") for word in others)
