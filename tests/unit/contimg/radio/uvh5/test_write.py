import h5py
import numpy as np
import pytest

from contimg.instruments import stations, telescope
from contimg.instruments.dsa110.simulate.array import array_of, frequencies
from contimg.instruments.dsa110.simulate.config import SimulationConfig, preset
from contimg.radio.uvh5.write import write as write_uvh5

DSA = telescope("dsa110")
TIMES = 2461066.4 + np.arange(3) * 12.884901888 / 86400


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("uvh5") / "2026-01-25T22:26:05_sb02.hdf5"
    array = array_of(preset("tiny"), DSA)
    rng = np.random.default_rng(0)
    data = rng.standard_normal((3, 55, 4, 2, 2)).view(complex)[..., 0].astype(np.complex64)
    pairs = array.numbers[np.stack([array.first, array.second], 1)]
    dec = np.radians(49.9)
    write_uvh5(path, DSA, pairs, array.uvw(dec), dec, TIMES, 12.884901888, frequencies(4)[2], data)
    return path, array, data


def test_header_is_that_of_a_real_file(written):
    """dsa110.md, section 1.3."""
    path, _, _ = written
    with h5py.File(path) as handle:
        header = handle["Header"]
        text = {name: header[name][()] for name in ("telescope_name", "instrument", "object_name", "phase_type")}
        assert text == {
            "telescope_name": b"OVRO_MMA",
            "instrument": b"DSA",
            "object_name": b"search",
            "phase_type": b"drift",
        }
        assert header["phase_center_app_dec"][()] == np.radians(49.9)
        assert (header["Nants_data"][()], header["Nants_telescope"][()]) == (10, 117)
        assert (header["Nbls"][()], header["Nblts"][()], header["Ntimes"][()], header["Nspws"][()]) == (55, 165, 3, 1)
        assert header["antenna_names"].dtype == "S4"
        assert list(header["antenna_names"][[0, 116]]) == [b"1", b"117"]
        assert list(header["antenna_numbers"]) == list(range(117))
        assert (header["antenna_diameters"][()] == 4.65).all()
        assert header["freq_array"].shape == (1, 4)
        assert header["channel_width"][()] == 96 * 250e6 / 8192
        assert list(header["spw_array"]) == [1]
        assert list(header["polarization_array"]) == [-5, -6]
        assert np.degrees(0.6498455107238486) == pytest.approx(header["latitude"][()], abs=1e-12)
        centre = [header[name][()] for name in ("latitude", "longitude", "altitude")]
        assert centre == [DSA.latitude_deg, DSA.longitude_deg, DSA.height_m]
        place = DSA.location
        itrf = header["antenna_positions"][102] + [place.x.value, place.y.value, place.z.value]
        np.testing.assert_allclose(itrf, stations("dsa110")[102].itrf_m, atol=1e-6)


def test_extra_keywords(written):
    with h5py.File(written[0]) as handle:
        extra = handle["Header/extra_keywords"]
        assert extra["phase_center_dec"][()] == np.radians(49.9)
        assert extra["ha_phase_center"][()] == 0
        assert extra["phase_center_epoch"][()] == b"HADEC"
        delays = [int(each) for each in extra["applied_delays_ns"][()].split()]
        assert len(delays) == 117 * 2
        assert "fs_table" in extra


def test_rows_repeat_the_same_float32_uvw(written):
    path, array, _ = written
    with h5py.File(path) as handle:
        header = handle["Header"]
        assert header["uvw_array"].dtype == np.float32
        uvw = header["uvw_array"][()].reshape(3, 55, 3)
        assert (uvw == uvw[0]).all()
        np.testing.assert_array_equal(uvw[0], array.uvw(np.radians(49.9)).astype(np.float32))
        assert header["time_array"].dtype == np.float64
        np.testing.assert_array_equal(header["time_array"][()].reshape(3, 55), np.repeat(TIMES[:, None], 55, axis=1))
        assert header["integration_time"][0] == 12.884902000427246, "a float32 read back"
        first, second = header["ant_1_array"][:6], header["ant_2_array"][:6]
        assert list(zip(first, second, strict=True)) == [(0, 0), (0, 13), (13, 13), (0, 32), (13, 32), (32, 32)]


def test_data_are_as_given_and_never_flagged(written):
    path, _, data = written
    with h5py.File(path) as handle:
        assert handle["Data/visdata"].dtype == np.complex64
        assert handle["Data/visdata"].shape == (165, 1, 4, 2)
        np.testing.assert_array_equal(handle["Data/visdata"][()].reshape(data.shape), data)
        assert handle["Data/flags"].dtype == bool
        assert not handle["Data/flags"][()].any()
        assert handle["Data/nsamples"].dtype == np.float32
        assert (handle["Data/nsamples"][()] == 96).all()


def test_size_of_a_full_file():
    """145,348,600 bytes of a real file: what one row takes, without writing it."""
    config = SimulationConfig()
    rows = config.integrations * len(array_of(config, DSA).first)
    assert rows == 111744
    assert rows * (48 * 2 * (8 + 1 + 4) + 12 + 8 * 4) == pytest.approx(145_348_600, rel=0.01)


def test_pyuvdata_reads_it(written):
    uvdata = pytest.importorskip("pyuvdata").UVData()
    path, _, data = written
    uvdata.read(path, file_type="uvh5", run_check=False, run_check_acceptability=False, strict_uvw_antpos_check=False)
    assert uvdata.telescope.name == "OVRO_MMA"
    assert uvdata.data_array.shape == (165, 4, 2)
    np.testing.assert_array_equal(uvdata.data_array.reshape(data.shape), data)
    positions = dict(zip(uvdata.telescope.antenna_numbers, uvdata.telescope.antenna_positions, strict=True))
    for row in (1, 17, 40):
        baseline = positions[uvdata.ant_2_array[row]] - positions[uvdata.ant_1_array[row]]
        assert np.linalg.norm(baseline) == pytest.approx(np.linalg.norm(uvdata.uvw_array[row]), abs=1e-3)
