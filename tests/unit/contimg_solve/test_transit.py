from __future__ import annotations

import numpy as np
import pytest
from gain_bench import ANTENNAS, FREQS, TARGET, draw_gains, write_scan

from contimg.radio.coordinates import lmn
from contimg_solve.data import open_recording
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
    sky = Sky(lmn(ra, dec, recording.ra_rad, recording.dec_rad), flux)
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
