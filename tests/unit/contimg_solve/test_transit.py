from __future__ import annotations

import shutil

import numpy as np
import pytest
from casacore.tables import table
from gain_bench import ANTENNAS, FREQS, TARGET, draw_gains, write_scan

from contimg.errors import DataQuality
from contimg.radio.coordinates import aberration, lmn
from contimg.radio.ms.read import open_recording
from contimg_solve.model import Sky
from contimg_solve.params import SolveParams
from contimg_solve.transit import Member, bandpass, member_gains, normalised, short_phases, unit_gains

PARAMS = SolveParams(min_uv_wavelengths=0, reference_antennas=("3",))
SOURCES = [(TARGET[0] + 0.4, TARGET[1] + 0.2, 3.0), (TARGET[0] - 0.2, TARGET[1] - 0.3, 1.0)]
NAMES = tuple(str(k + 1) for k in range(ANTENNAS))


def member_of(base, unit, gains, *, start=0.0, noise=0.0, known=True, sources=SOURCES):
    path = base / f"{unit}.ms"
    write_scan(path, "t", TARGET, sources, gains, start_jd=2460700.5 + start / 86400, noise=noise)
    recording = open_recording(path, unit)
    ra, dec = np.radians([s[0] for s in SOURCES]), np.radians([s[1] for s in SOURCES])
    flux = np.tile(np.array([s[2] for s in SOURCES], np.float32)[None, :, None], (4, 1, len(FREQS)))
    scale = aberration(recording.ra_rad, recording.dec_rad, recording.mid_s / 86400 + 2400000.5)
    sky = Sky(scale * lmn(ra, dec, recording.ra_rad, recording.dec_rad), flux)
    return Member(recording, sky if known else None)


def changes(seed):
    rng = np.random.default_rng(seed)
    made = rng.uniform(0.9, 1.1, (1, 2, ANTENNAS)) * np.exp(1j * rng.uniform(-1, 1, (1, 2, ANTENNAS)))
    return made / np.abs(made).mean()


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    base, band = tmp_path_factory.mktemp("transit"), draw_gains(4)
    change = changes(1)
    members = [member_of(base, "a", band), member_of(base, "b", band * change, start=60)]
    return base, band, change, members


@pytest.fixture(scope="module")
def solved(case):
    return bandpass(case[3][0], "cal", NAMES, PARAMS)


def test_bandpass_off_the_phase_centre_needs_no_rephasing(case, solved):
    _, band, _, _ = case
    made, reference = solved
    assert reference == "3"
    np.testing.assert_allclose(np.abs(made.gain[0]), np.abs(band), rtol=1e-4)
    ratio = made.gain[0] / band
    np.testing.assert_allclose(ratio / ratio[..., :1], 1, atol=1e-4)
    np.testing.assert_allclose(np.angle(made.gain[..., 2]), 0, atol=1e-5)


def test_member_gains_are_the_change_since_the_bandpass(case, solved):
    _, _, change, members = case
    seen = []
    pre = solved[0].as_factor()[0]
    made = member_gains(members, pre, NAMES, "3", PARAMS, report=lambda *a: seen.append(a[:2]))
    assert (made.flagged, made.weak) == (0, ())
    assert made.gains.fields == ("a", "b")
    np.testing.assert_allclose(made.gains.gain[0], 1, atol=1e-4)
    ratio = made.gains.gain[1, 0] / change[0]
    np.testing.assert_allclose(ratio / ratio[:, :1], 1, atol=1e-4)
    np.testing.assert_allclose(np.abs(made.gains.gain[1]).mean(), 1, atol=1e-5)
    assert seen == [(0, 2), (1, 2)]


def test_a_wrong_flux_of_the_sky_does_not_change_the_scale(case, solved, tmp_path):
    _, band, _, _ = case
    brighter = [(ra, dec, 1.5 * flux) for ra, dec, flux in SOURCES]
    member = member_of(tmp_path, "c", band, sources=brighter)
    made = member_gains([member], solved[0].as_factor()[0], NAMES, "3", PARAMS)
    np.testing.assert_allclose(np.abs(made.gains.gain), 1, atol=1e-3)


def test_member_without_model_keeps_its_bandpass(case, solved, tmp_path):
    _, band, _, members = case
    pre = solved[0].as_factor()[0].copy()
    pre[:, 1, 5] = 0
    unknown = member_of(tmp_path, "u", band, known=False)
    made = member_gains([members[0], unknown], pre, NAMES, "3", PARAMS)
    assert made.weak == ("u",)
    assert made.flagged == pytest.approx(0.5)
    (row,) = [k for k, f in enumerate(made.gains.fields) if f == "u"]
    assert (made.gains.gain[row] == 1).all()
    assert made.gains.flag[row, 0, 1].tolist() == [k == 5 for k in range(ANTENNAS)]
    assert not made.gains.flag[row, 0, 0].any()


def test_member_whose_gains_fail_keeps_its_bandpass(case, solved, tmp_path):
    noisy = member_of(tmp_path, "n", case[1], noise=200.0)
    made = member_gains([noisy], solved[0].as_factor()[0], NAMES, "3", PARAMS)
    assert made.weak == ("n",)
    assert made.flagged == 1
    assert (made.gains.gain == 1).all()
    assert not made.gains.flag.any()


def test_normalised_ignores_flagged_gains(case, solved):
    made = unit_gains(case[3][0], solved[0].as_factor()[0])
    made.gain[..., 0] = 99
    made.flag[..., 0] = True
    made.gain[..., 1:] = 3
    np.testing.assert_allclose(normalised(made).gain[..., 1:], 1)


def test_short_phases_see_what_changes_within_a_member(case, solved, tmp_path):
    _, band, _, members = case
    pre = solved[0].as_factor()[0]
    gains = member_gains(members, pre, NAMES, "3", PARAMS).gains
    short = short_phases(members, pre, gains, NAMES, "3", PARAMS.model_copy(update={"short_phase_s": 20.0}))
    assert short.gain.shape == (4, 1, 2, ANTENNAS)
    np.testing.assert_allclose(short.gain, 1, atol=1e-3)
    unknown = member_of(tmp_path, "u", band, known=False)
    alone = member_gains([unknown], pre, NAMES, "3", PARAMS).gains
    assert short_phases([unknown], pre, alone, NAMES, "3", PARAMS) is None


def flagged_copy(member, path, rows):
    """A member whose FLAG is set where ``rows`` of (ant1, ant2) is."""
    shutil.copytree(member.recording.path, path)
    with table(str(path), readonly=False, ack=False) as main:
        flag = main.getcol("FLAG")
        flag[rows(main.getcol("ANTENNA1"), main.getcol("ANTENNA2"))] = True
        main.putcol("FLAG", flag)
    return Member(open_recording(path, path.stem), member.sky)


def test_dead_antenna_has_no_bandpass_and_no_gains_and_hurts_nobody(case, solved, tmp_path):
    dead = flagged_copy(case[3][0], tmp_path / "d.ms", lambda i, j: (i == 4) | (j == 4))
    made, reference = bandpass(dead, "cal", NAMES, PARAMS)
    others = np.arange(ANTENNAS) != 4
    assert reference == "3"
    assert made.flag[..., 4].all()
    assert not made.live[4]
    assert made.flagged() == 0
    np.testing.assert_allclose(made.gain[..., others], solved[0].gain[..., others], atol=1e-4)
    gains = member_gains([case[3][1]], made.as_factor()[0], NAMES, "3", PARAMS)
    assert gains.gains.flag[..., 4].all()
    assert gains.flagged == 0  # nothing is lost that was there


def test_dead_reference_antenna_is_replaced_by_one_that_lives(case, tmp_path):
    dead = flagged_copy(case[3][0], tmp_path / "d.ms", lambda i, j: (i == 2) | (j == 2))
    made, reference = bandpass(dead, "cal", NAMES, PARAMS.model_copy(update={"reference_antennas": ("3", "6")}))
    assert reference == "6"
    np.testing.assert_allclose(np.angle(made.gain[..., 5]), 0, atol=1e-5)


def test_calibrator_that_is_flagged_altogether_is_named(case, tmp_path):
    dead = flagged_copy(case[3][0], tmp_path / "d.ms", lambda i, _: i >= 0)
    with pytest.raises(DataQuality, match=r"no unflagged visibilities of 0834\+555 to solve gains from"):
        bandpass(dead, "0834+555", NAMES, PARAMS)


def test_no_baseline_long_enough_is_no_data(case):
    far = PARAMS.model_copy(update={"min_uv_wavelengths": 1e7})
    with pytest.raises(DataQuality, match="no unflagged visibilities of cal"):
        bandpass(case[3][0], "cal", NAMES, far)


def test_bandpass_that_never_reaches_the_limit_says_which(case):
    strict = PARAMS.model_copy(update={"min_snr": 1e7})
    with pytest.raises(DataQuality, match=r"no bandpass solution on cal reaches min_snr = 1e\+07; take another"):
        bandpass(case[3][0], "cal", NAMES, strict)


def test_member_flagged_altogether_keeps_its_bandpass(case, solved, tmp_path):
    dead = flagged_copy(case[3][0], tmp_path / "d.ms", lambda i, _: i >= 0)
    made = member_gains([dead], solved[0].as_factor()[0], NAMES, "3", PARAMS)
    assert (made.gains.gain == 1).all()
    assert not made.gains.flag.any()


def test_edges_of_the_band_do_not_enter_member_gains(case, solved, tmp_path):
    shutil.copytree(case[3][1].recording.path, tmp_path / "e.ms")
    with table(str(tmp_path / "e.ms"), readonly=False, ack=False) as main:
        data = main.getcol("DATA")
        data[:, [0, 1, 2, -3, -2, -1]] = 1e3
        main.putcol("DATA", data)
    spoilt = Member(open_recording(tmp_path / "e.ms", "e"), case[3][1].sky)
    inner = PARAMS.model_copy(update={"edge_fraction": 0.2})
    pre = solved[0].as_factor()[0]
    good, made = (member_gains([m], pre, NAMES, "3", inner).gains.gain for m in (case[3][1], spoilt))
    np.testing.assert_allclose(made, good, atol=1e-4)


def test_unit_gains_are_flagged_where_the_bandpass_is_in_all_channels(case):
    pre = np.ones((len(FREQS), 2, ANTENNAS), np.complex64)
    pre[:, 0, 3] = 0
    pre[:5, 1, 6] = 0
    made = unit_gains(case[3][0], pre)
    assert np.argwhere(made.flag).tolist() == [[0, 0, 0, 3]]
    assert made.live.all()
    assert not unit_gains(case[3][0], pre * 0).live.any()


@pytest.mark.parametrize(("limit", "weak"), [(0.0, ("d",)), (0.5, ())])
def test_members_are_weak_beyond_the_limit_of_the_parameters(case, solved, tmp_path, limit, weak):
    hurt = flagged_copy(case[3][0], tmp_path / "d.ms", lambda i, j: (i == 4) | (j == 4))
    lenient = PARAMS.model_copy(update={"degraded_gains_flagged": limit})
    made = member_gains([hurt], solved[0].as_factor()[0], NAMES, "3", lenient)
    assert made.weak == weak
    assert made.flagged == (1.0 if weak else pytest.approx(1 / ANTENNAS))
