"""Laws of gains that hold for any visibilities, tried on many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contimg_solve.data import Block
from contimg_solve.params import SolveParams
from contimg_solve.scans import band_bins, fluxes
from contimg_solve.solution import Solution, _factors, fill_gaps, phase_scatter_deg, referenced, solve, stack
from contimg_solve.stefcal import accumulate, new_sums, solve_gains
from contimg_solve.transit import normalised

NANT, NCHAN, HANDS = 7, 3, 2
NAMES = tuple("abcdefg")
FEW = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
factors = st.floats(0.01, 100)


def drawn(seed, noise=0.0, nant=NANT):
    """Gains (chan, hand, antenna), model (row, chan) and rows of all pairs, two integrations."""
    rng = np.random.default_rng(seed)
    shape = (NCHAN, HANDS, nant)
    gains = rng.uniform(0.5, 1.5, shape) * np.exp(1j * rng.uniform(-np.pi, np.pi, shape))
    first, second = (np.tile(each, 2) for each in np.triu_indices(nant, 1))
    angle = rng.uniform(-np.pi, np.pi, (len(first), NCHAN))
    model = (rng.uniform(0.5, 2, angle.shape) * np.exp(1j * angle)).astype(np.complex64)
    vis = (gains[..., first] * gains[..., second].conj()).transpose(2, 0, 1) * model[:, :, None]
    vis = vis + noise * (rng.normal(size=vis.shape) + 1j * rng.normal(size=vis.shape))
    rows = len(first)
    block = Block(
        vis=vis.astype(np.complex64),
        flag=np.zeros(vis.shape, bool),
        weight=np.ones((rows, HANDS), np.float32),
        ant1=first,
        ant2=second,
        time=np.repeat([0, 1], rows // 2),
        uvw=np.zeros((rows, 3)),
    )
    return gains, model, block


def summed(block, model, nant=NANT):
    sums = new_sums(1, NCHAN, HANDS, nant)
    pre = np.ones((NCHAN, HANDS, nant), np.complex64)
    accumulate(sums, block, model, pre, np.zeros(len(block.vis), np.int64), np.arange(NCHAN))
    return sums


def solved(block, model, nant=NANT, least=2):
    """Gains (chan, hand, antenna) with phase zero on the last antenna that has one, and their errors."""
    gain, error, _ = solve_gains(summed(block, model, nant), np.ones(nant, bool), least)
    return turned(gain[0]), error[0]


def turned(gain, reference=-1):
    own = gain[..., reference, None]
    return gain * np.conj(own) / np.maximum(np.abs(own), 1e-30)


@given(seeds, st.floats(-3, 3))
@FEW
def test_truth_comes_back_whatever_phase_all_antennas_share(seed, phase):
    gains, model, block = drawn(seed)
    found, _ = solved(block, model)
    np.testing.assert_allclose(found, turned(gains * np.exp(1j * phase)), atol=3e-4)


@given(seeds, factors)
@FEW
def test_data_k_times_as_high_have_gains_root_k_times_as_high(seed, k):
    _, model, block = drawn(seed, 0.05)
    higher = replace(block, vis=(block.vis * np.float32(k)).astype(np.complex64))
    (gain, error), (gain_k, error_k) = solved(block, model), solved(higher, model)
    np.testing.assert_allclose(gain_k, np.sqrt(k) * gain, rtol=2e-3, atol=1e-4 * np.sqrt(k))
    np.testing.assert_allclose(error_k / error, np.sqrt(k), rtol=0.02)


@given(seeds, factors)
@FEW
def test_a_brighter_model_lowers_the_gains(seed, k):
    _, model, block = drawn(seed, 0.05)
    brighter, _ = solved(block, (model * np.float32(k)).astype(np.complex64))
    np.testing.assert_allclose(brighter * np.sqrt(k), solved(block, model)[0], rtol=2e-3, atol=1e-4)


@given(seeds, st.permutations(range(NANT)))
@FEW
def test_antennas_in_another_order_have_their_own_gains(seed, order):
    _, model, block = drawn(seed, 0.05)
    place = np.argsort(order)  # antenna order[k] becomes number k
    moved = replace(block, ant1=place[block.ant1], ant2=place[block.ant2])
    there, _, _ = solve_gains(summed(moved, model), np.ones(NANT, bool), 2)
    here, _, _ = solve_gains(summed(block, model), np.ones(NANT, bool), 2)
    np.testing.assert_allclose(turned(there[0], 0), turned(here[0], order[0])[..., list(order)], atol=1e-3)


@given(seeds)
@FEW
def test_turning_pairs_around_changes_nothing(seed):
    _, model, block = drawn(seed, 0.1)
    back = replace(block, vis=block.vis.conj(), ant1=block.ant2, ant2=block.ant1)
    for one, other in zip(vars(summed(block, model)).values(), vars(summed(back, model.conj())).values(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


@given(seeds)
@FEW
def test_conjugate_sky_has_conjugate_gains(seed):
    _, model, block = drawn(seed, 0.05)
    mirrored = replace(block, vis=block.vis.conj())
    np.testing.assert_allclose(solved(mirrored, model.conj())[0], solved(block, model)[0].conj(), atol=1e-3)


@given(seeds, factors)
@FEW
def test_common_factor_of_the_weights_changes_neither_gains_nor_errors(seed, k):
    _, model, block = drawn(seed, 0.1)
    heavy = replace(block, weight=block.weight * np.float32(k))
    for one, other in zip(solved(block, model), solved(heavy, model), strict=True):
        np.testing.assert_allclose(one, other, rtol=5e-3, atol=1e-3)


@given(seeds)
@FEW
def test_rows_may_come_in_pieces(seed):
    _, model, block = drawn(seed, 0.1)
    whole, parts = summed(block, model), new_sums(1, NCHAN, HANDS, NANT)
    pre = np.ones((NCHAN, HANDS, NANT), np.complex64)
    cut = len(block.vis) // 3
    for here in (slice(0, cut), slice(cut, None)):
        piece = Block(**{name: value[here] for name, value in vars(block).items()})
        accumulate(parts, piece, model[here], pre, np.zeros(len(piece.vis), np.int64), np.arange(NCHAN))
    np.testing.assert_allclose(parts.product, whole.product, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(parts.count, whole.count)


@given(seeds, st.integers(0, NANT - 2))
@FEW
def test_one_dead_antenna_leaves_the_others_alone(seed, dead):
    gains, model, block = drawn(seed)
    block.flag[(block.ant1 == dead) | (block.ant2 == dead)] = True
    found, error = solved(block, model)
    others = np.arange(NANT) != dead
    assert (found[..., dead] == 0).all()
    assert np.isinf(error[..., dead]).all()
    np.testing.assert_allclose(found[..., others], turned(gains)[..., others], atol=3e-4)


@pytest.mark.parametrize(("least", "found"), [(2, True), (3, False)])
def test_three_antennas_close_one_triangle(least, found):
    gains, model, block = drawn(1, nant=3)
    gain, _ = solved(block, model, 3, least)
    assert (gain != 0).all() == found
    if found:
        np.testing.assert_allclose(np.abs(gain), np.abs(gains), atol=3e-4)


def test_a_chain_of_weak_antennas_unravels():
    """Losing one antenna takes a baseline from the next, until none has enough."""
    _, model, block = drawn(3, nant=4)
    keep = {(0, 1), (1, 2), (2, 3)}
    for row, pair in enumerate(zip(block.ant1, block.ant2, strict=True)):
        block.flag[row] = pair not in keep
    assert (solve_gains(summed(block, model, 4), np.ones(4, bool), 2)[0] == 0).all()


def of(gain, flag=None, snr=50.0, fields=("f",)):
    gain = np.asarray(gain, np.complex64)
    flag = np.zeros(gain.shape, bool) if flag is None else flag
    level = np.where(flag, 0, snr).astype(np.float32)
    times = np.arange(len(gain), dtype=float)
    return Solution(gain, flag, level, np.ones(gain.shape[-1], bool), times, times * 0 + 1, fields)


def random_solution(seed, times=1, channels=8):
    rng = np.random.default_rng(seed)
    shape = (times, channels, HANDS, NANT)
    gain = rng.uniform(0.5, 2, shape) * np.exp(1j * rng.uniform(-3, 3, shape))
    flag = rng.random(shape) < 0.2
    return of(np.where(flag, 1, gain), flag, fields=("f",) * times)


@given(seeds, st.floats(-3, 3), st.permutations(NAMES))
@FEW
def test_referencing_forgets_the_common_phase_and_is_done_once(seed, phase, wanted):
    here = random_solution(seed)
    turned_by = replace(here, gain=np.where(here.flag, 1, here.gain * np.exp(1j * phase)).astype(np.complex64))
    one, name = referenced(here, NAMES, wanted)
    other, same = referenced(turned_by, NAMES, wanted)
    assert name == same
    np.testing.assert_allclose(one.gain, other.gain, atol=1e-5)
    np.testing.assert_allclose(referenced(one, NAMES, wanted)[0].gain, one.gain, atol=1e-5)
    np.testing.assert_allclose(np.abs(one.gain), np.abs(here.gain), rtol=1e-5)


@given(seeds, factors)
@FEW
def test_normalised_has_mean_amplitude_one_whatever_the_scale(seed, k):
    here = random_solution(seed, times=3)
    made = normalised(replace(here, gain=np.where(here.flag, 1, here.gain * k).astype(np.complex64)))
    mean = np.nanmean(np.where(made.flag, np.nan, np.abs(made.gain)), axis=(1, 2, 3))
    np.testing.assert_allclose(mean, 1, rtol=1e-5)
    np.testing.assert_allclose(made.gain, normalised(here).gain, rtol=1e-4)


@given(seeds, st.integers(0, 5))
@FEW
def test_filling_gaps_never_changes_a_solution_nor_flags_one(seed, longest):
    here = random_solution(seed, channels=24)
    made = fill_gaps(here, longest)
    assert not (made.flag & ~here.flag).any()
    np.testing.assert_array_equal(made.gain[~here.flag], here.gain[~here.flag])
    new = here.flag & ~made.flag
    assert longest > 0 or not new.any()
    assert np.abs(made.gain[new]).max(initial=0) <= np.abs(here.gain[~here.flag]).max() * (1 + 1e-6)
    assert (made.snr[new] == 50).all()


@given(seeds, st.floats(-3, 3), st.floats(-0.5, 0.5))
@FEW
def test_phase_scatter_forgets_offset_and_delay(seed, offset, slope):
    rng = np.random.default_rng(seed)
    gain = np.exp(0.05j * rng.normal(size=(1, 60, HANDS, NANT)))
    line = np.exp(1j * (offset + slope * np.arange(60)))[None, :, None, None]
    assert phase_scatter_deg(of(gain * line)) == pytest.approx(phase_scatter_deg(of(gain)), rel=1e-3)


def test_scatter_of_too_few_channels_or_all_flagged_is_unknown():
    gain = np.ones((1, 8, HANDS, NANT))
    assert np.isnan(phase_scatter_deg(of(gain, np.ones(gain.shape, bool))))
    assert np.isnan(phase_scatter_deg(of(gain[:, :4])))  # two second differences are no scatter


def test_fractions_of_nothing():
    gain = np.ones((1, 2, HANDS, NANT))
    dead = replace(of(gain, np.ones(gain.shape, bool)), live=np.zeros(NANT, bool))
    assert dead.flagged() == 1.0
    assert np.isnan(dead.median_snr())
    assert not dead.as_factor().any()


@given(st.permutations([3.0, 1.0, 2.0]))
@FEW
def test_stack_is_sorted_and_does_not_depend_on_the_order_given(times):
    parts = [replace(of(np.full((1, 1, HANDS, NANT), t)), times_s=np.array([t]), fields=(f"{t}",)) for t in times]
    made = stack(parts)
    assert made.times_s.tolist() == [1.0, 2.0, 3.0]
    assert made.fields == ("1.0", "2.0", "3.0")
    assert made.gain[:, 0, 0, 0].real.tolist() == [1.0, 2.0, 3.0]


@given(st.lists(st.floats(0.3, 3), min_size=5, max_size=12))
@FEW
def test_noise_factors_are_found_from_means_over_pairs(s):
    s = np.array(s)
    level = np.array([s[i] * np.delete(s, i).mean() for i in range(len(s))])
    np.testing.assert_allclose(_factors(level), s / np.median(s), rtol=0.05)
    with_gap = _factors(np.append(level, np.nan))
    assert np.isnan(with_gap[-1])
    np.testing.assert_allclose(with_gap[:-1], _factors(level))


@given(seeds, factors)
@FEW
def test_solution_of_sums_does_not_depend_on_the_unit_of_the_data(seed, k):
    """Flags and signal to noise are ratios: volts or janskys, the same antennas fail."""
    _, model, block = drawn(seed, 0.3)
    params, one = SolveParams(min_snr=3, min_baselines=3), np.ones(1)
    here = solve(summed(block, model), params, one, one, ["f"])
    there = solve(summed(replace(block, vis=block.vis * np.float32(k)), model), params, one, one, ["f"])
    near = np.abs(here.snr - params.min_snr) < 0.05 * params.min_snr
    assert (here.flag == there.flag)[~near].all()
    np.testing.assert_allclose(there.snr, here.snr, rtol=0.02)


@given(st.integers(1, 5000), st.floats(0, 0.4999))
@FEW
def test_band_edges_are_cut_alike_and_something_is_left(channels, fraction):
    bins = band_bins(channels, fraction)
    assert (bins == bins[::-1]).all()
    assert set(np.unique(bins)) <= {-1, 0}
    edge = int((bins[: channels // 2] == -1).sum())
    assert edge == int(channels * fraction)
    assert (bins == 0).any()


@given(seeds, st.floats(0.05, 50), st.floats(0.1, 10))
@FEW
def test_flux_is_the_squared_ratio_of_amplitudes_on_any_scale(seed, flux, scale):
    rng = np.random.default_rng(seed)
    base = scale * rng.uniform(0.5, 1.5, (1, 1, HANDS, NANT))
    gain = np.concatenate([base, base * np.sqrt(flux)])
    found = fluxes(of(gain, fields=("p", "s")), "p", {"s", "absent"})
    assert set(found) == {"s"}
    assert found["s"].flux_jy == pytest.approx(flux, rel=1e-4)
    assert found["s"].solutions == HANDS * NANT
    assert found["s"].error_jy < 1e-4 * flux


def test_flux_of_one_solution_has_no_error_and_without_primary_there_is_none():
    gain, flag = np.full((2, 1, HANDS, NANT), 2.0), np.ones((2, 1, HANDS, NANT), bool)
    flag[:, 0, 0, 0] = False
    (found,) = fluxes(of(gain, flag, fields=("p", "s")), "p", {"s"}).values()
    assert found.solutions == 1
    assert np.isnan(found.error_jy)
    flag[0] = True
    assert fluxes(of(gain, flag, fields=("p", "s")), "p", {"s"}) == {}
