"""Simulated files against the astronomy that the stages use: the one is written with the frames of astropy and a sum in
numba, the other with SOFA routines and numpy. Beam, places, phases, gains, noise and outliers must all agree."""

import h5py
import numpy as np
import pytest

from contimg.instruments import stations, telescope
from contimg.instruments.dsa110.simulate import Drawn, Rfi, preset, simulate_dsa110
from contimg.radio.beams import drift_beam
from contimg.radio.coordinates import hour_angle_dec

pytestmark = pytest.mark.science

DSA = telescope("dsa110")
LIGHT = 299792458.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    out = tmp_path_factory.mktemp("simulate")
    drawn = Drawn(count=25, min_flux_jy=0.3, max_flux_jy=3.0)
    config = preset("tiny", observations=2, transit_in=1, integrations=6, rfi=Rfi(), dropouts=0.02, drawn=drawn)
    return out, simulate_dsa110(out, config)


def read(out, observation):
    """Return data (T, B, F, 2), antenna numbers of the rows and times, with channels in the order of the files."""
    parts = []
    for each in sorted(observation.files, key=lambda entry: entry.subband):
        with h5py.File(out / each.name) as handle:
            header = handle["Header"]
            rows = header["Nbls"][()]
            one, two = header["ant_1_array"][:rows], header["ant_2_array"][:rows]
            times = header["time_array"][::rows]
            parts.append(handle["Data/visdata"][()].reshape(len(times), rows, -1, 2))
    return np.concatenate(parts, axis=2), one + 1, two + 1, times


def places():
    """Return station positions with x towards the meridian, y to the east, z to the pole."""
    longitude = np.radians(DSA.longitude_deg)
    c, s = np.cos(longitude), np.sin(longitude)
    return {each.number: np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) @ each.itrf_m for each in stations("dsa110")}


def components(truth, one, two, times):
    """Return the visibilities of each source in the sense of the file, shape (S, T, B, F) [Jy]."""
    dec = np.radians(truth.config.dec_deg)
    freq = np.array(truth.freq_hz).ravel()
    ra, de, flux, index = np.array([(s.ra_deg, s.dec_deg, s.flux_jy, s.spectral_index) for s in truth.sources]).T
    ra, de = np.radians(ra), np.radians(de)
    beam = drift_beam("airy", DSA.dish_m, ra, de, times, freq, dec, DSA)
    ha, app = hour_angle_dec(ra[:, None], de[:, None], times, DSA)
    toward = np.stack([np.cos(app) * np.cos(ha), -np.cos(app) * np.sin(ha), np.sin(app)], axis=-1)
    at = places()
    baseline = np.array([at[b] - at[a] for a, b in zip(one, two, strict=True)])
    turns = (toward - [np.cos(dec), 0, np.sin(dec)]) @ baseline.T / LIGHT  # (S, T, B)
    amplitude = beam.transpose(1, 0, 2) * (flux[:, None] * (freq / truth.reference_hz) ** index[:, None])[:, None, :]
    return amplitude[:, :, None, :] * np.exp(2j * np.pi * turns[..., None] * freq)


def calibrated(out, truth, number):
    """Return data in Jy, which of them are good, and the components of the model."""
    observation = truth.observations[number]
    data, one, two, times = read(out, observation)
    np.testing.assert_array_equal(times, observation.times_jd)
    gains = np.load(out / truth.gains)
    g = dict(zip(gains["stations"], gains["bandpass"] * gains["drift"][number][..., None], strict=True))
    pair = np.array([np.conj(g[a]) * g[b] for a, b in zip(one, two, strict=True)]).transpose(0, 2, 1)
    good = np.ones(data.shape, bool)
    good[:, one == two] = False
    width = truth.config.channels_per_subband
    for subband, t in observation.dropouts:
        good[t, :, subband * width : (subband + 1) * width] = False
    for event in observation.rfi:
        good[np.ix_(event.integrations, range(len(one)), range(event.channel, event.channel + event.channels))] = False
    return data / pair, good, components(truth, one, two, times)


@pytest.mark.parametrize("number", [0, 1])
def test_data_minus_model_is_noise(run, number):
    out, truth = run
    data, good, model = calibrated(out, truth, number)
    left = (data - model.sum(axis=0)[..., None])[good] / truth.noise_jy
    samples = left.size
    for part in (left.real, left.imag):
        assert part.std() == pytest.approx(1.0, abs=5 / np.sqrt(2 * samples))
        assert part.mean() == pytest.approx(0.0, abs=5 / np.sqrt(samples))
        assert np.abs(part).max() < 6.0, "nothing but what the truth lists is out of line"


def test_listed_outliers_are_there(run):
    out, truth = run
    data, good, model = calibrated(out, truth, 0)
    left = np.abs(data - model.sum(axis=0)[..., None]) / truth.noise_jy
    for event in truth.observations[0].rfi:
        cross = ~good[event.integrations[0], :, event.channel].any(axis=-1)
        level = left[event.integrations[0], :, event.channel][cross].mean() * truth.noise_jy
        assert level > 0.9 * event.flux_jy > 50


def test_every_source_has_its_flux(run):
    """Fluxes solved together from the calibrated data: right scale, places and beam, for both observations."""
    out, truth = run
    for number in (0, 1):
        data, good, model = calibrated(out, truth, number)
        design = np.stack([np.repeat(each[..., None], 2, axis=-1)[good] for each in model])
        design = np.concatenate([design.real, design.imag], axis=1) / truth.noise_jy
        seen = np.concatenate([data[good].real, data[good].imag]) / truth.noise_jy
        bright = np.sqrt((design**2).sum(axis=1)) > 20
        rest = seen - design[~bright].sum(axis=0)
        normal = design[bright] @ design[bright].T
        ratio = np.linalg.solve(normal, design[bright] @ rest)
        pulls = (ratio - 1) / np.sqrt(np.diag(np.linalg.inv(normal)))
        assert bright.sum() >= 5
        assert bright[0], "the calibrator"
        assert np.sqrt(np.mean(pulls**2)) < 1.6
        assert np.abs(pulls).max() < 4
        assert ratio[0] == pytest.approx(1.0, abs=0.01)


def test_a_wrong_place_would_be_noticed(run):
    """The comparison can fail: a transit time off by one second, as LST = RA makes it off by seventy."""
    out, truth = run
    data, good, _ = calibrated(out, truth, 1)
    _, one, two, times = read(out, truth.observations[1])
    late = components(truth, one, two, times + 1 / 86400)
    left = (data - late.sum(axis=0)[..., None])[good] / truth.noise_jy
    assert left.real.std() > 1.02
