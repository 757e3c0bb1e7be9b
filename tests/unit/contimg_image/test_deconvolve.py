from __future__ import annotations

import numpy as np
import pytest

from contimg_image.clean import Clark
from contimg_image.deconvolve import Limits, deconvolve, inner_mask, mad_rms
from contimg_image.gridder import Gridder
from contimg_image.weighting import imaging_weights, thermal_rms

CELL = np.radians(6 / 3600)
SIZE = 432


@pytest.fixture(scope="module")
def gridder(small_vis):
    weight = imaging_weights(small_vis, SIZE, CELL, "briggs", 0.5)
    return Gridder(small_vis.uvw_m, small_vis.freq_hz, weight, SIZE, CELL)


def cleaned(gridder, vis, **limits):
    return deconvolve(gridder, vis.data, lambda psf: Clark(psf, 0.1), Limits(**limits))


def test_clean_ends_in_noise(gridder, small_vis):
    found = cleaned(gridder, small_vis)
    weight = imaging_weights(small_vis, SIZE, CELL, "briggs", 0.5)
    inside = inner_mask(SIZE)
    assert found.ended == "threshold"
    assert found.model.sum() == pytest.approx(1.4, rel=0.02)
    assert mad_rms(found.residual[inside]) == pytest.approx(thermal_rms(small_vis.weight, weight), rel=0.12)
    assert np.abs(found.residual[inside]).max() < 5.5 * mad_rms(found.residual[inside])
    assert 2 <= found.majors <= 10


def test_absolute_threshold_stops_before_the_noise(gridder, small_vis):
    found = cleaned(gridder, small_vis, threshold_jy=0.1)
    assert found.ended == "threshold"
    assert 0.05 < np.abs(found.residual[inner_mask(SIZE)]).max() <= 0.25
    assert found.iterations < cleaned(gridder, small_vis).iterations


def test_budgets_end_it(gridder, small_vis):
    few = cleaned(gridder, small_vis, max_iterations=7)
    assert (few.iterations, few.ended) == (7, "iterations")
    one = cleaned(gridder, small_vis, max_majors=1)
    assert (one.majors, one.ended) == (1, "majors")
    none = cleaned(gridder, small_vis, max_iterations=0)
    assert not none.model.any()
    assert none.residual.max() > 0.9


def test_without_mask_all_pixels_are_cleaned_but_the_edge(gridder, small_vis):
    found = cleaned(gridder, small_vis, auto_mask_sigma=0.0, threshold_sigma=3.0, max_majors=4)
    assert not found.model[~inner_mask(SIZE)].any()
    assert found.model.sum() == pytest.approx(1.4, rel=0.1)


def test_components_lie_where_something_is_significant(gridder, small_vis):
    found = cleaned(gridder, small_vis)
    y, x = np.nonzero(found.model)
    sources = [(216 + 90, 216 - 99), (216 - 60, 216 + 50)]
    near = np.min([np.hypot(y - sy, x - sx) for sy, sx in sources], axis=0)
    assert np.abs(found.model[y[near >= 12], x[near >= 12]]).sum() < 0.03
    assert found.model[y[near < 12], x[near < 12]].sum() == pytest.approx(1.4, rel=0.01)


def test_divergence_is_seen(gridder, small_vis):
    class Wrong(Clark):
        def run(self, *given):
            residual, model = given[0], given[-1]
            model -= 5 * np.where(residual == residual.max(), residual, 0)
            return 1

    found = deconvolve(gridder, small_vis.data, lambda psf: Wrong(psf, 0.1), Limits())
    assert found.ended == "diverged"
    assert not found.model.any()
    assert np.abs(found.residual - gridder.dirty(small_vis.data)).max() < 1e-4


def test_getting_nowhere_ends_it(gridder, small_vis):
    class Idle(Clark):
        def run(self, *_given):
            return 1

    limits = Limits(threshold_jy=0.2)
    found = deconvolve(gridder, small_vis.data, lambda psf: Idle(psf, 0.1), limits)
    assert (found.ended, found.majors) == ("stalled", 2)


def test_progress_is_reported(gridder, small_vis):
    seen = []
    deconvolve(
        gridder,
        small_vis.data,
        lambda psf: Clark(psf, 0.1),
        Limits(max_majors=2),
        lambda *words: seen.append(words[:2]),
    )
    assert seen == [(1, 2), (2, 2)]


def test_mad_is_blind_to_sources():
    values = np.random.default_rng(1).normal(size=(100, 100)).astype(np.float32)
    values[:3] = 1000
    values[50, 50] = np.nan
    assert mad_rms(values) == pytest.approx(1.0, rel=0.06)
