"""Laws that hold for any input, tried on many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg.radio.gaussians import Beam
from contimg_image.channels import average_width, channel_bins, selected_channels
from contimg_image.common import declination_bin
from contimg_image.deconvolve import inner_mask, mad_rms
from contimg_image.primary import sampled
from contimg_image.restoring import fit_beam, gaussian, restore, sidelobe
from contimg_image.visibilities import average
from contimg_image.weighting import imaging_weights, thermal_rms

CELL = np.radians(3 / 3600)
FEW = settings(max_examples=25, deadline=None)


@st.composite
def selections(draw):
    """Ascending ranges without overlap, and the number of channels."""
    edges = sorted(draw(st.sets(st.integers(0, 80), min_size=2, max_size=8)))
    pairs = [(edges[k], edges[k + 1] - 1) for k in range(0, len(edges) - 1, 2)]
    return pairs, draw(st.integers(81, 100))


@given(selections(), st.integers(1, 9))
@FEW
def test_every_selected_channel_goes_to_one_average_of_its_range(chosen, width):
    pairs, count = chosen
    ranges = selected_channels(";".join(f"{first}~{last}" for first, last in pairs), count)
    assert [(each.start, each.stop - 1) for each in ranges] == pairs
    bins = channel_bins(ranges, width, count)
    used = {channel for first, last in pairs for channel in range(first, last + 1)}
    assert {int(k) for k in np.nonzero(bins >= 0)[0]} == used
    assert set(bins[bins >= 0]) == set(range(bins.max() + 1))
    for number in range(bins.max() + 1):
        members = np.nonzero(bins == number)[0]
        assert 1 <= len(members) <= width
        assert np.array_equal(members, np.arange(members[0], members[0] + len(members)))
        assert sum(first <= members[0] and members[-1] <= last for first, last in pairs) == 1


@given(st.floats(1e3, 1e7), st.floats(5e8, 5e9), st.floats(50, 5000), st.floats(3, 30))
@FEW
def test_longer_baselines_and_smaller_dishes_allow_less_averaging(channel_hz, freq_hz, baseline_m, dish_m):
    width = average_width(channel_hz, freq_hz, baseline_m, dish_m)
    assert width >= 1
    assert average_width(channel_hz, freq_hz, 2 * baseline_m, dish_m) <= width
    assert average_width(channel_hz, freq_hz, baseline_m, dish_m / 2) <= width
    assert average_width(2 * channel_hz, freq_hz, baseline_m, dish_m) <= width


@given(st.floats(20, 60), st.floats(0.3, 1.0), st.floats(0, 179))
@FEW
def test_fit_inverts_the_drawing_of_a_beam(major, ratio, pa):
    beam = fit_beam(gaussian(Beam(major, ratio * major, pa), 256, CELL).astype(np.float32), CELL)
    assert beam.major_arcsec == pytest.approx(major, rel=1e-3)
    assert beam.minor_arcsec == pytest.approx(ratio * major, rel=1e-3)
    if ratio < 0.9:
        assert (beam.pa_deg - pa + 90) % 180 - 90 == pytest.approx(0, abs=0.5)


@given(st.floats(20, 60), st.floats(0.3, 1.0), st.floats(0, 179))
@FEW
def test_form_of_a_beam_has_its_area(major, ratio, pa):
    """The integral of exp(-q) is pi / sqrt(det q)."""
    beam = Beam(major, ratio * major, pa)
    a, b, c = beam.form(CELL)
    pixels = np.pi * beam.major_arcsec * beam.minor_arcsec / (4 * np.log(2)) / 3**2
    assert np.pi / np.sqrt(a * c - b**2) == pytest.approx(pixels)


@given(st.integers(0, 10**6))
@settings(max_examples=5, deadline=None)
def test_restoring_is_linear_and_keeps_the_residual(seed):
    rng = np.random.default_rng(seed)
    first, second = np.where(rng.uniform(size=(2, 60, 60)) < 0.01, rng.normal(size=(2, 60, 60)), 0).astype(np.float32)
    nothing, beam = np.zeros((60, 60), np.float32), Beam(30, 20, 40)
    residual = rng.normal(size=(60, 60)).astype(np.float32)
    parts = [restore(each, nothing, beam, CELL) for each in (first, second)]
    whole = restore(first + 2 * second, residual, beam, CELL)
    assert np.abs(whole - (parts[0] + 2 * parts[1] + residual)).max() < 1e-4
    assert np.array_equal(restore(nothing, residual, beam, CELL), residual)


@given(st.floats(0.05, 0.6), st.integers(30, 90), st.floats(0, 6.28))
@FEW
def test_sidelobe_is_the_highest_beyond_the_main_lobe(height, distance, angle):
    psf = gaussian(Beam(30, 20, 0), 256, CELL).astype(np.float32)
    y, x = 128 + round(distance * np.sin(angle)), 128 + round(distance * np.cos(angle))
    psf[y, x] = -height
    assert sidelobe(psf) == pytest.approx(height, rel=1e-5)


@given(st.floats(-39, 89))
@FEW
def test_declination_bins_tile_the_sky(dec):
    middle = declination_bin(dec)
    assert abs(middle - dec) <= 0.05 + 1e-9
    assert declination_bin(middle) == pytest.approx(middle)
    assert declination_bin(dec + 0.1) == pytest.approx(middle + 0.1)


@given(st.lists(st.tuples(st.floats(0, 1e3), st.floats(0.01, 10)), min_size=1, max_size=40), st.integers(1, 12))
@FEW
def test_sampling_keeps_weight_and_mean(pairs, count):
    values, weights = (np.array(each) for each in zip(*pairs, strict=True))
    means, shares = sampled(values, weights, count)
    assert len(means) <= min(count, len(values))
    assert shares.sum() == pytest.approx(1)
    assert means @ shares == pytest.approx(np.average(values, weights=weights), rel=1e-9, abs=1e-9)
    assert values.min() - 1e-9 <= means.min() <= means.max() <= values.max() + 1e-9


@given(st.floats(-2, 2))
@settings(max_examples=8, deadline=None)
def test_noise_grows_from_natural_to_uniform(small_vis, robust):
    def noise(weighting, value=0.0):
        return thermal_rms(small_vis.weight, imaging_weights(small_vis, 128, CELL, weighting, value))

    lowest, highest = noise("natural"), noise("uniform")
    assert lowest == pytest.approx(1 / np.sqrt(small_vis.weight.sum()), rel=1e-4)
    assert lowest * 0.9999 <= noise("briggs", robust) <= highest * 1.0001
    assert noise("briggs", robust) <= noise("briggs", robust - 0.5) * 1.0001


@given(st.floats(0.01, 100))
@settings(max_examples=8, deadline=None)
def test_scale_of_the_weights_does_not_matter(small_vis, factor):
    scaled = replace(small_vis, weight=(small_vis.weight * factor).astype(np.float32))
    first, second = (imaging_weights(each, 128, CELL, "briggs", 0.3) for each in (small_vis, scaled))
    assert second / second.sum() == pytest.approx(first / first.sum(), rel=1e-3)


@given(st.integers(0, 10**6), st.integers(1, 5))
@FEW
def test_averaging_constant_data_changes_nothing(seed, width):
    """Whatever is flagged and however it is weighted, the mean of a constant is the constant."""
    rng = np.random.default_rng(seed)
    value = complex(*rng.normal(size=2))
    data = np.full((6, 8, 2), value, np.complex64)
    flag = rng.uniform(size=data.shape) < 0.4
    weight = rng.uniform(0.1, 5, size=(6, 1, 2)).astype(np.float32)
    bins = channel_bins([range(8)], width, 8)
    total, sums = (np.zeros((6, bins.max() + 1), kind) for kind in (np.complex64, np.float32))
    average(data, flag, weight, bins, total, sums)
    assert np.abs(total[sums > 0] - value).max(initial=0) < 1e-5
    assert not total[sums == 0].any()
    good = (~flag.any(axis=2)).sum()
    single = 4 / (1 / weight[:, 0, 0] + 1 / weight[:, 0, 1])
    assert sums.sum() == pytest.approx((single[:, None] * ~flag.any(axis=2)).sum(), rel=1e-5)
    assert (good == 0) == (sums.sum() == 0)


@given(st.integers(32, 400))
@FEW
def test_inner_mask_is_a_centred_square(size):
    mask = inner_mask(size)
    assert np.array_equal(mask, mask[::-1, ::-1])
    assert not mask[0].any()
    assert not mask[:, -1].any()
    assert mask.sum() >= 0.9 * (size - 2) ** 2


@given(st.floats(0.001, 1000), st.floats(-100, 100))
@FEW
def test_mad_scales_with_noise_and_ignores_an_offset(scale, offset):
    noise = np.random.default_rng(3).normal(size=(80, 80))
    assert mad_rms((scale * noise + offset).astype(np.float64)) == pytest.approx(scale * mad_rms(noise), rel=1e-6)
