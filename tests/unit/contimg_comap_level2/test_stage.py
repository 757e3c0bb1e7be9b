"""The stage on a small simulated file: layout of the file, modules, what is refused."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
from comap_sim import calls, level2_of, result_of, simulated

from contimg.errors import BadConfig, BadInput
from contimg.models.quality import Verdict, judge
from contimg_comap_level2.params import Level2Params, ModuleCall
from contimg_comap_level2.recognise import recognise
from contimg_comap_level2.stage import calls_of


@pytest.fixture(scope="module")
def level1(tmp_path_factory):
    return simulated(tmp_path_factory.mktemp("level1"), channels=16, minutes=2.0, feeds=(2, 19))


@pytest.fixture(scope="module")
def level2(level1, tmp_path_factory):
    return level2_of(level1, tmp_path_factory.mktemp("level2"))


def test_paths_and_shapes_are_those_of_the_format(level2):
    with h5py.File(level2) as file:
        (scans, two), samples = file["level2/scan_edges"].shape, file["spectrometer/MJD"].shape[0]
        shapes = {
            "level2/vane/system_temperature": (2, 3, 4, 16),
            "level2/vane/gain": (2, 3, 4, 16),
            "level1_noise_stats/auto_rms": (19, 4, 16),
            "level2/atmosphere/offsets": (19, 4, 16, scans),
            "level2/atmosphere/tau": (19, 4, 16, scans),
            "level2/binned_data": (19, 4, 2, samples),
            "level2/binned_filtered_data": (19, 4, 2, samples),
            "level2/post_bin_cleaning/binned_filtered_data": (19, 4, 2, samples),
            "level2/central_freqs": (19, 4, 2),
            "level2/bandwidths": (19, 4, 2),
            "level2_noise_stats/binned_filtered_data/sigma_white": (19, 4, 2, scans),
            "level2_noise_stats/binned_data/alpha": (19, 4, 2, scans),
        }
        assert two == 2
        assert {name: file[name].shape for name in shapes} == shapes
        assert file["level2/binned_data"].dtype == np.float32
        assert file["level2/binned_data"].attrs["unit"] == "K"
        assert file["comap"].attrs["obsid"] == "0060001"


def test_what_is_absent_is_nan_defect_12_and_the_last_science_feed_is_there_defect_17(level2):
    with h5py.File(level2) as file:
        finite = np.isfinite(file["level2/binned_filtered_data"][:, 0, 0]).any(axis=1)
        assert np.flatnonzero(finite).tolist() == [1, 18]
        start, stop = file["level2/scan_edges"][0]
        assert np.isnan(file["level2/binned_data"][1, 0, 0, :start]).all()
        assert np.isnan(file["level2/binned_data"][1, 0, 0, stop:]).all()


def test_t32_integer_housekeeping_keeps_its_value_defect_10(level2):
    with h5py.File(level2) as file:
        assert file["hk/antenna0/vane/Tshroud"][0] == 15.0


def test_t30_the_same_task_gives_the_same_bytes(level1, level2, tmp_path):
    assert level2_of(level1, tmp_path / "again").read_bytes() == level2.read_bytes()


def test_what_post_bin_cleaning_replaces_is_kept(level1, level2, tmp_path):
    without = level2_of(level1, tmp_path / "out", calls(PostBinCleaning=None))
    with h5py.File(level2) as one, h5py.File(without) as other:
        kept = one["level2/post_bin_cleaning/binned_filtered_data"][...]
        np.testing.assert_array_equal(kept, other["level2/binned_filtered_data"][...])


def test_the_rows_of_the_observation(level2):
    with h5py.File(level2) as file:
        rows = file["level2/sql_snapshot"]
        assert rows["pixel"][...].tolist() == [2] * 8 + [19] * 8
        assert rows["frequency_band"][...].tolist() == list(range(8)) * 2
        assert rows["is_good"][...].all()
        assert (rows["filtered_white_noise"][...] > 0).all()


def test_the_feed_without_a_vane_is_refused_in_words(level1, tmp_path):
    broken = tmp_path / level1.name
    broken.write_bytes(level1.read_bytes())
    with h5py.File(broken, "r+") as file:
        file["hk/array/frame/features"][...] = 0
    with pytest.raises(BadInput, match=r"hk/array/frame/features, .*: feature 13 .* never set; no gain can be found"):
        result_of(broken, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("spectrometer/pixel_pointing/pixel_el", np.nan, "pixel_el row 0 has az .* el nan at sample 0"),
        ("spectrometer/MJD", 0.0, "spectrometer/MJD begins with 0"),
        ("hk/antenna0/vane/Tshroud", 9000, "Tshroud is 90.00 °C"),
        ("spectrometer/feeds", 3, r"feeds holds \[3, 3, 3\]"),
    ],
)
def test_bad_numbers_are_refused_with_dataset_and_value(level1, tmp_path, name, value, words):
    broken = tmp_path / level1.name
    broken.write_bytes(level1.read_bytes())
    with h5py.File(broken, "r+") as file:
        file[name][...] = value
    with pytest.raises(BadInput, match=words):
        result_of(broken, tmp_path / "out")


def test_no_scan_is_refused(level1, tmp_path):
    broken = tmp_path / level1.name
    broken.write_bytes(level1.read_bytes())
    with h5py.File(broken, "r+") as file:
        file["hk/antenna0/deTracker/lissajous_status"][...] = 2
    with pytest.raises(BadInput, match=r"\(bits \[13, 15\]\) show no scan of 100 samples or more"):
        result_of(broken, tmp_path / "out")


def test_a_missing_file_is_told_at_once_t27(tmp_path):
    with pytest.raises(BadInput, match="is missing; put it back"):
        result_of(tmp_path / "comap-0060001-2022-01-21-171648.hd5", tmp_path / "out")


def test_an_order_that_cannot_work_is_refused(level1, tmp_path):
    with pytest.raises(BadConfig, match="let FindScans stand earlier"):
        result_of(level1, tmp_path / "a", (ModuleCall(name="NoiseStatsLevel1"),))
    early = (ModuleCall(name="FindScans"), ModuleCall(name="AtmosphereInObservation"))
    with pytest.raises(BadConfig, match="let SystemTemperature stand earlier"):
        result_of(level1, tmp_path / "b", early)


def test_modules_are_checked():
    with pytest.raises(BadConfig, match="module 'FindScan' is unknown; did you mean 'FindScans'"):
        calls_of(Level2Params(modules=(ModuleCall(name="FindScan"),)))
    with pytest.raises(BadConfig, match=r"FindScans: key 'start' is unknown; did you mean 'start_cut'"):
        calls_of(Level2Params(modules=(ModuleCall(name="FindScans", args={"start": 1}),)))
    with pytest.raises(BadConfig, match="version 1 here, the task was planned with 2"):
        calls_of(Level2Params(modules=(ModuleCall(name="FindScans", version=2),)))
    assert len(calls_of(Level2Params())) == 10


def test_a_hot_receiver_degrades(level1, tmp_path):
    figures = {figure.name: figure for figure in result_of(level1, tmp_path / "out").figures}
    assert figures["level2.t_sys"].verdict is Verdict.PASS
    limits = {"degraded_below": 10.0, "degraded_above": 100.0}
    assert judge("level2.t_sys", 130.0, "K", **limits).verdict is Verdict.DEGRADED
    assert figures["level2.t_sys"].limit == judge("level2.t_sys", 130.0, "K", **limits).limit


def test_bare_files(tmp_path):
    path = tmp_path / "comap-0060001-2022-01-21-171648.hd5"
    path.touch()
    assert recognise(path) == ("", "", "0060001")
    assert recognise(tmp_path / "x.hd5") is None
