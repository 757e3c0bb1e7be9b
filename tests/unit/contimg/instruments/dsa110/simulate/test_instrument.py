import numpy as np
import pytest

from contimg.instruments import telescope
from contimg.instruments.dsa110.simulate.array import LIGHT, array_of, frequencies, pointing_vector
from contimg.instruments.dsa110.simulate.config import Gains, Rfi, SimulationConfig, preset
from contimg.instruments.dsa110.simulate.instrument import corrupt, draw_gains, draw_rfi, noise_jy, sum_sources

DSA = telescope("dsa110")
DEC = np.radians(49.9)
PLAIN = preset("tiny", drawn=None, gains=None, sefd_jy=0.0)
ARRAY = array_of(PLAIN, DSA)
BAND = frequencies(2)


def written(config, model=None, *, gains=None, events=(), where=(0, 0), seed=1):
    model = np.zeros((4, len(ARRAY.first), 2), complex) if model is None else model
    gains = gains or draw_gains(config, ARRAY.numbers, BAND)
    return corrupt(config, ARRAY, model, gains, events, where, BAND[where[1]], np.random.default_rng(seed))


def test_sum_is_the_textbook_sum():
    rng = np.random.default_rng(0)
    vectors = pointing_vector(DEC) + 0.01 * rng.standard_normal((2, 3, 3))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    amplitude = rng.uniform(0.1, 1, (2, 3, 2))
    freq = np.array([1.49e9, 1.31e9])
    made = sum_sources(ARRAY, vectors, amplitude, freq, DEC)
    for t, b, f in [(0, 1, 0), (1, 7, 1), (1, 50, 0), (0, 44, 1)]:
        baseline = ARRAY.local_m[ARRAY.second[b]] - ARRAY.local_m[ARRAY.first[b]]
        delay = (vectors[t] - pointing_vector(DEC)) @ baseline / LIGHT
        assert made[t, b, f] == pytest.approx(np.sum(amplitude[t, :, f] * np.exp(2j * np.pi * freq[f] * delay)))


def test_source_to_the_north_east_has_positive_l_and_m():
    l, m = 0.004, 0.003
    turn = np.array([[0, 1, 0], [-np.sin(DEC), 0, np.cos(DEC)], pointing_vector(DEC)])
    toward = np.array([l, m, np.sqrt(1 - l * l - m * m)]) @ turn
    made = sum_sources(ARRAY, toward[None, None], np.ones((1, 1, 1)), np.array([1.4e9]), DEC)[0, :, 0]
    u, v, w = ARRAY.uvw(DEC).T * 1.4e9 / LIGHT
    np.testing.assert_allclose(
        made, np.exp(2j * np.pi * (u * l + v * m + w * (np.sqrt(1 - l * l - m * m) - 1))), atol=1e-9
    )


def test_gains_are_conjugated_as_the_file_is():
    config = preset("tiny", drawn=None, sefd_jy=0.0)
    gains = draw_gains(config, ARRAY.numbers, BAND)
    model = np.ones((4, len(ARRAY.first), 2), complex)
    data = written(config, model, gains=gains, where=(0, 5))
    g = gains.bandpass[:, :, 10:12] * gains.drift[0][..., None]
    row = 8  # baseline of antennas 2 and 3
    i, j = ARRAY.first[row], ARRAY.second[row]
    assert i != j
    # V_ij of a measurement set is g_i conj(g_j); the file holds its conjugate.
    np.testing.assert_allclose(np.conj(data[0, row]).T, g[i] * np.conj(g[j]), rtol=1e-6)
    auto = ARRAY.first == ARRAY.second
    assert (data[:, auto].imag == 0).all()
    assert (data[:, auto].real > 0).all()


def test_gain_statistics():
    config = SimulationConfig(gains=Gains(), observations=40)
    numbers = array_of(config, DSA).numbers
    gains = draw_gains(config, numbers, frequencies(48))
    assert gains.bandpass.shape == (96, 2, 768)
    assert np.abs(gains.bandpass).mean() == pytest.approx(0.068, rel=0.03)
    slopes = np.diff(np.unwrap(np.angle(gains.bandpass))).mean(axis=-1) / (2 * np.pi * -244140.625)
    assert 3e-9 < np.abs(slopes).max() < 4.01e-9
    steps = np.degrees(np.angle(gains.drift[1:] / gains.drift[:-1]))
    assert steps.std() == pytest.approx(1.0, rel=0.05)
    assert (gains.drift[0] == 1).all()


def test_noise_is_the_radiometer_equation():
    config = preset("tiny", drawn=None, gains=None)
    data = written(config, np.zeros((200, len(ARRAY.first), 2), complex))
    cross = data[:, ARRAY.first != ARRAY.second]
    sigma = 6500 / np.sqrt(2 * 5859375.0 * 12.884901888)
    assert noise_jy(config, 5859375.0) == pytest.approx(sigma)
    assert cross.real.std() == pytest.approx(sigma, rel=0.01)
    assert cross.imag.std() == pytest.approx(sigma, rel=0.01)
    auto = data[:, ARRAY.first == ARRAY.second].real
    assert auto.mean() == pytest.approx(6500, rel=1e-4)
    assert auto.std() == pytest.approx(6500 / np.sqrt(5859375.0 * 12.884901888), rel=0.04)


def test_dead_and_noisy_stations():
    config = preset("tiny", drawn=None, dead_stations=(14,), noisy_stations=(33,), gains=None)
    data = written(config, np.zeros((100, len(ARRAY.first), 2), complex))
    level = {
        (int(ARRAY.numbers[i]), int(ARRAY.numbers[j])): np.abs(data[:, b]).mean()
        for b, (i, j) in enumerate(zip(ARRAY.first, ARRAY.second, strict=True))
    }
    assert level[1, 14] / level[1, 51] == pytest.approx(1e-3, rel=0.15)
    assert level[14, 14] == pytest.approx(6500e-6, rel=0.01)
    assert level[33, 33] == pytest.approx(36 * 6500, rel=0.01)
    assert level[1, 33] / level[1, 51] == pytest.approx(6, rel=0.15)


def test_transmitter_is_seen_where_and_when_it_is_on():
    events = draw_rfi(Rfi(narrow=2, bursts=1), seed=5, observation=0, integrations=4, channels=32)
    assert [each.kind for each in events] == ["narrow", "narrow", "burst"]
    narrow = events[0]
    subband, channel = divmod(narrow.channel, 2)
    data = written(PLAIN, events=(narrow,), where=(0, subband))[..., 0]
    off = [t for t in range(4) if t not in narrow.integrations]
    cross = ARRAY.first != ARRAY.second
    np.testing.assert_allclose(np.abs(data[list(narrow.integrations)][:, cross, channel]), narrow.flux_jy, rtol=1e-5)
    assert not data[off].any()
    assert not data[:, :, 1 - channel].any()
    np.testing.assert_allclose(data[narrow.integrations[0]], data[narrow.integrations[-1]], rtol=1e-6)
    phases = dict(
        zip(
            zip(ARRAY.first, ARRAY.second, strict=True), np.angle(data[narrow.integrations[0], :, channel]), strict=True
        )
    )
    assert np.exp(1j * (phases[0, 1] + phases[1, 2] - phases[0, 2])) == pytest.approx(1, abs=1e-5), "closure"


def test_narrow_transmitters_stay_bursts_move():
    drawn = [draw_rfi(Rfi(), 5, observation, 24, 768) for observation in (0, 1)]
    assert drawn[0][0].channel == drawn[1][0].channel
    assert drawn[0][0].azimuth_deg == drawn[1][0].azimuth_deg
    assert drawn[0][1] != drawn[1][1]
    assert drawn[0][1].channels == 31
    assert draw_rfi(None, 5, 0, 24, 768) == ()


def test_thermal_noise_of_a_full_observation():
    """dsa110.md, section 1.5: 0.200 mJy/beam."""
    config = SimulationConfig()
    sigma = noise_jy(config, 244140.625)
    assert sigma / np.sqrt(2 * 4560 * config.integrations * 768) == pytest.approx(0.200e-3, rel=2e-3)
