"""What a simulation must obey whatever is asked for: superposition, closure, seeds, shapes, the array's geometry."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contimg.instruments import telescope
from contimg.instruments.dsa110.simulate.array import LIGHT, array_of, frequencies, pointing_vector
from contimg.instruments.dsa110.simulate.config import Drawn, Gains, Rfi, SimulationConfig, Source, preset
from contimg.instruments.dsa110.simulate.instrument import corrupt, draw_gains, draw_rfi, noise_jy, sum_sources
from contimg.instruments.dsa110.simulate.sky import airy, fluxes, instants, observation_starts, sky_of
from contimg.instruments.dsa110.simulate.truth import RfiEvent, Truth, TruthFile, TruthObservation

DSA = telescope("dsa110")
SITE = DSA.location
DEC = np.radians(33.0)
PLAIN = SimulationConfig(stations=(1, 14, 51, 70, 102, 103), gains=None, sefd_jy=0.0, channels_per_subband=2)
ARRAY = array_of(PLAIN, DSA)
BAND = frequencies(2)
FEW = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32)
declinations = st.floats(np.radians(-35), np.radians(85))


def sky_vectors(seed, sources=3, times=2, dec=DEC):
    rng = np.random.default_rng(seed)
    vectors = pointing_vector(dec) + 0.02 * rng.standard_normal((times, sources, 3))
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def closure(vis, array):
    """Return the phases of V_ij V_jk conj(V_ik) over all triangles with antenna 0, last axes kept."""
    at = {(int(i), int(j)): b for b, (i, j) in enumerate(zip(array.first, array.second, strict=True))}
    count = len(array.numbers)
    triangles = [(at[0, j], at[j, k], at[0, k]) for j in range(1, count) for k in range(j + 1, count)]
    return np.array([np.angle(vis[:, a] * vis[:, b] * np.conj(vis[:, c])) for a, b, c in triangles])


@FEW
@given(seeds, st.floats(0.01, 100))
def test_the_sum_is_linear_in_flux(seed, factor):
    vectors = sky_vectors(seed)
    flux = np.random.default_rng(seed).uniform(0.1, 1, (2, 3, 2))
    once = sum_sources(ARRAY, vectors, flux, BAND[0], DEC)
    np.testing.assert_allclose(sum_sources(ARRAY, vectors, factor * flux, BAND[0], DEC), factor * once, rtol=1e-9)


@FEW
@given(seeds)
def test_the_sum_is_the_sum_of_its_sources_in_any_order(seed):
    vectors = sky_vectors(seed)
    flux = np.random.default_rng(seed).uniform(0.1, 1, (2, 3, 2))
    whole = sum_sources(ARRAY, vectors, flux, BAND[0], DEC)
    parts = [sum_sources(ARRAY, vectors[:, [s]], flux[:, [s]], BAND[0], DEC) for s in range(3)]
    np.testing.assert_allclose(whole, sum(parts), atol=1e-9)
    turned = sum_sources(ARRAY, vectors[:, ::-1], flux[:, ::-1], BAND[0], DEC)
    np.testing.assert_allclose(whole, turned, atol=1e-9)


@FEW
@given(seeds, st.floats(0.1, 10))
def test_one_source_closes_its_phases_whatever_the_gains(seed, jy):
    config = PLAIN.model_copy(update={"gains": Gains(), "seed": seed})
    vectors = sky_vectors(seed, sources=1)
    model = sum_sources(ARRAY, vectors, np.full((2, 1, 2), jy), BAND[3], DEC)
    assert np.abs(closure(model, ARRAY)).max() < 1e-7
    gains = draw_gains(config, ARRAY.numbers, BAND)
    data = corrupt(config, ARRAY, model, gains, (), (0, 3), BAND[3], np.random.default_rng(seed))
    assert np.abs(closure(data, ARRAY)).max() < 1e-4
    ratio = np.abs(data[..., 0] / model)
    assert ratio.std() / ratio.mean() > 0.01, "yet the gains are there"


@FEW
@given(seeds)
def test_a_source_at_the_phase_centre_is_its_flux_on_every_baseline(seed):
    jy = float(np.random.default_rng(seed).uniform(0.1, 10))
    vectors = np.broadcast_to(pointing_vector(DEC), (1, 1, 3))
    made = sum_sources(ARRAY, np.ascontiguousarray(vectors), np.full((1, 1, 2), jy), BAND[0], DEC)
    np.testing.assert_allclose(made, jy, rtol=1e-9)


@FEW
@given(seeds)
def test_no_baseline_sees_more_than_the_whole_sky(seed):
    flux = np.random.default_rng(seed).uniform(0.1, 1, (2, 3, 2))
    made = sum_sources(ARRAY, sky_vectors(seed), flux, BAND[0], DEC)
    assert (np.abs(made) <= flux.sum(1)[:, None] * (1 + 1e-9)).all()
    auto = ARRAY.first == ARRAY.second
    np.testing.assert_allclose(made[:, auto], np.broadcast_to(flux.sum(1)[:, None], made[:, auto].shape), rtol=1e-9)


@FEW
@given(seeds)
def test_equal_seeds_are_equal_and_others_are_not(seed):
    config = PLAIN.model_copy(update={"gains": Gains(), "sefd_jy": 6500.0, "seed": seed})
    other = config.model_copy(update={"seed": seed + 1})
    one, two, three = (draw_gains(each, ARRAY.numbers, BAND) for each in (config, config, other))
    assert np.array_equal(one.bandpass, two.bandpass)
    assert np.array_equal(one.drift, two.drift)
    assert not np.array_equal(one.bandpass, three.bandpass)
    model = np.zeros((1, len(ARRAY.first), 2), complex)
    noise = [corrupt(config, ARRAY, model, one, (), (0, 0), BAND[0], np.random.default_rng(s)) for s in (seed, seed)]
    assert np.array_equal(*noise)
    assert draw_rfi(Rfi(), seed, 0, 8, 32) == draw_rfi(Rfi(), seed, 0, 8, 32)


@FEW
@given(seeds, st.integers(0, 5), st.integers(0, 5), st.integers(1, 40), st.integers(25, 800))
def test_transmitters_stay_inside_band_and_time(seed, narrow, bursts, integrations, channels):
    rfi = Rfi(narrow=narrow, bursts=bursts, min_flux_jy=10, max_flux_jy=20)
    events = draw_rfi(rfi, seed, 0, integrations, channels)
    assert [event.kind for event in events] == ["narrow"] * narrow + ["burst"] * bursts
    assert len({event.channel for event in events[:narrow]}) == narrow
    for event in events:
        assert 0 <= event.channel <= event.channel + event.channels <= channels
        assert all(0 <= t < integrations for t in event.integrations)
        assert 10 * (1 - 1e-9) <= event.flux_jy <= 20 * (1 + 1e-9)
        assert 0 <= event.azimuth_deg < 360


@FEW
@given(declinations)
def test_uvw_keep_lengths_and_turn_with_the_sign(dec):
    uvw = ARRAY.uvw(dec)
    lengths = np.linalg.norm(ARRAY.local_m[ARRAY.second] - ARRAY.local_m[ARRAY.first], axis=1)
    np.testing.assert_allclose(np.linalg.norm(uvw, axis=1), lengths, atol=1e-9)
    assert not uvw[ARRAY.first == ARRAY.second].any()
    w = (ARRAY.local_m[ARRAY.second] - ARRAY.local_m[ARRAY.first]) @ pointing_vector(dec)
    np.testing.assert_allclose(uvw[:, 2], w, atol=1e-9)


@pytest.mark.parametrize("channels", [n for n in range(1, 385) if 384 % n == 0])
def test_every_division_of_the_band_is_even_and_descends(channels):
    freq = frequencies(channels).ravel()
    assert freq.shape == (16 * channels,)
    np.testing.assert_allclose(np.diff(freq), -384 / channels * 250e6 / 8192, rtol=1e-9)
    assert freq.mean() == pytest.approx(frequencies(48).mean(), abs=1e-3)


@FEW
@given(st.floats(0.01, 50), st.floats(-2, 1), st.floats(1.2e9, 1.6e9), st.floats(0.5, 2))
def test_spectra_scale_with_flux_and_are_power_laws(jy, index, freq, factor):
    sources = tuple(Source(name="a", ra_deg=0, dec_deg=0, flux_jy=s, spectral_index=index) for s in (jy, 2 * jy))
    one, two = fluxes(sources, np.array([freq, freq * factor]))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-12)
    assert one[1] / one[0] == pytest.approx(factor**index, rel=1e-9)


@FEW
@given(st.floats(0, 1), st.floats(1e9, 2e9))
def test_the_beam_is_one_on_the_axis_and_never_more(cosine, freq):
    found = airy(np.array([cosine, 1.0]), np.array([freq]), 4.65)[:, 0]
    assert 0 <= found[0] <= found[1] == pytest.approx(1)


@FEW
@given(st.floats(1, 1e5), st.floats(1e4, 1e8), st.floats(0.1, 900))
def test_noise_falls_with_the_root_of_time_and_bandwidth(sefd, width, seconds):
    config = SimulationConfig(sefd_jy=sefd, integration_s=seconds)
    longer = SimulationConfig(sefd_jy=sefd, integration_s=4 * seconds)
    assert noise_jy(longer, width) == pytest.approx(noise_jy(config, width) / 2)
    assert noise_jy(config, 4 * width) == pytest.approx(noise_jy(config, width) / 2)
    assert noise_jy(SimulationConfig(sefd_jy=2 * sefd, integration_s=seconds), width) == pytest.approx(
        2 * noise_jy(config, width)
    )


@FEW
@given(st.integers(1, 6), st.sets(st.integers(0, 5)), st.floats(0, 1000))
def test_observations_never_overlap(count, restarts, gap):
    config = SimulationConfig(observations=count, restarts=tuple(sorted(restarts)), restart_gap_s=gap)
    steps = np.diff([each.timestamp() for each in observation_starts(config, SITE)])
    wanted = [config.length_s + gap * (k in restarts) for k in range(1, count)]
    assert steps == pytest.approx(wanted, abs=1e-4)


@settings(max_examples=3, deadline=None)
@given(seeds, st.integers(1, 20), st.floats(0.01, 0.5), st.floats(1.01, 20), st.floats(-3, -0.5))
def test_drawn_sources_keep_to_their_limits(seed, count, low, factor, slope):
    drawn = Drawn(count=count, min_flux_jy=low, max_flux_jy=low * factor, slope=slope, separation_arcmin=1)
    config = SimulationConfig(seed=seed, drawn=drawn)
    found = sky_of(config, observation_starts(config, SITE), SITE)
    assert len({each.name for each in found}) == len(found) == count
    assert all(low * (1 - 1e-9) <= each.flux_jy <= low * factor * (1 + 1e-9) for each in found)
    assert all(0 <= each.ra_deg < 360 for each in found)
    assert max(abs(each.dec_deg - config.dec_deg) for each in found) < 1.5 + 0.5


def test_a_slope_of_minus_one_is_flat_in_the_logarithm():
    config = SimulationConfig(drawn=Drawn(count=400, min_flux_jy=0.01, max_flux_jy=1, slope=-1, separation_arcmin=0))
    found = sky_of(config, observation_starts(config, SITE), SITE)
    assert np.mean([each.flux_jy > 0.1 for each in found]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [
        (Drawn, "count", -1),
        (Drawn, "min_flux_jy", 0),
        (Drawn, "half_width_deg", 0),
        (Gains, "amplitude", 0),
        (Gains, "scatter", 0.5),
        (Gains, "ripple", 0.2),
        (Rfi, "narrow", -1),
        (Rfi, "max_flux_jy", 0),
        (SimulationConfig, "dec_deg", 90),
        (SimulationConfig, "dropouts", 0.5),
        (SimulationConfig, "seed", -1),
        (SimulationConfig, "integrations", 0),
        (SimulationConfig, "sefd_jy", -1),
        (SimulationConfig, "channels_per_subband", 385),
        (SimulationConfig, "cadence_s", 0),
    ],
)
def test_values_outside_their_bounds_are_refused(model, field, value):
    needed = {"count": 1} if model is Drawn else {}
    with pytest.raises(ValidationError, match=field):
        model(**(needed | {field: value}))


@FEW
@given(st.sampled_from(["tiny", "small-group", "full"]), st.integers(0, 9), st.floats(-40, 89))
def test_configurations_survive_json(name, seed, dec):
    config = preset(name, seed=seed, dec_deg=dec)
    assert SimulationConfig.model_validate_json(config.model_dump_json()) == config


def test_the_truth_survives_json():
    start = datetime(2026, 1, 25, 22, 26, tzinfo=UTC)
    event = RfiEvent("burst", 3, 2, (1,), 100.0, 12.5)
    file = TruthFile(name="x_sb00.hdf5", subband=0, sha256="s")
    observation = TruthObservation(
        id="2026-01-25T22:26:00", start=start, end=start, times_jd=(2461066.4,), files=(file,),
        missing_subbands=(1,), dropouts=((2, 0),), rfi=(event,),
    )  # fmt: skip
    truth = Truth(
        reference_hz=1.4e9, config=PLAIN, sources=(Source(name="a", ra_deg=1, dec_deg=2, flux_jy=3),), stations=(1, 2),
        freq_hz=((1.4e9,),), noise_jy=1.0, thermal_jy=0.1, beam_fwhm_arcsec=20.0, observations=(observation,),
    )  # fmt: skip
    assert Truth.model_validate_json(truth.model_dump_json()) == truth
    with pytest.raises(ValidationError, match="Extra inputs"):
        Truth.model_validate(truth.model_dump() | {"colour": 1})


@FEW
@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=5))
def test_instants_are_seconds_after_the_start(seconds):
    start = datetime(2026, 1, 25, 22, 26, tzinfo=UTC)
    found = instants(start, seconds)
    assert (found.unix - start.timestamp()) == pytest.approx(np.array(seconds), abs=1e-5)
    assert LIGHT == 299792458.0
