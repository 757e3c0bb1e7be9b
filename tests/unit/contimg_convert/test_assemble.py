from __future__ import annotations

import h5py
import numpy as np
import pytest
import pyuvdata_reader
from uvh5 import Recording, channel_hz, write_set

from contimg.errors import BadInput
from contimg_convert import assemble


def spoil(path, name, change):
    """Replace a dataset by a changed copy."""
    with h5py.File(path, "a") as file:
        values = change(file[name][()])
        del file[name]
        file[name] = values


def test_equal_to_pyuvdata(reference, originals):
    """The second reader goes through pyuvdata's own phasing of a driftscan catalogue entry."""
    other = pyuvdata_reader.read_drift(originals)
    cross = reference.cross
    peak = np.abs(other.vis[cross]).max()
    assert np.abs(reference.vis - other.vis).max() <= 1e-6 * peak
    assert np.abs(reference.uvw_m - other.uvw_m).max() <= 1e-9
    for name in ("flag", "time_jd", "antenna1", "antenna2", "freq_hz", "interval_s"):
        assert np.array_equal(getattr(reference, name), getattr(other, name))
    assert reference.corr_types == other.corr_types == (9, 12)
    assert reference.antennas.names == other.antennas.names
    assert np.abs(reference.antennas.itrf_m - other.antennas.itrf_m).max() < 1e-6


def test_rows_are_in_one_canonical_order(reference):
    key = np.stack([reference.antenna2, reference.antenna1, np.unique(reference.time_jd, return_inverse=True)[1]])
    assert np.array_equal(np.lexsort(key), np.arange(key.shape[1]))
    assert (reference.antenna1 <= reference.antenna2).all()
    assert len(reference.time_jd) == 3 * 21


def test_band_ascends_and_is_the_correlators(reference):
    assert (np.diff(reference.freq_hz) > 0).all()
    assert reference.freq_hz[-1] == pytest.approx(channel_hz(0, 4)[0], abs=1)
    assert reference.freq_hz[0] == pytest.approx(channel_hz(15, 4)[-1], abs=1)


def test_plain_layout_gives_the_same(reference, recording, tmp_path):
    """Other axes, number types, antenna lists and no sample counts; float64 uvw move phases by 1e-4 rad."""
    plain = Recording(names=recording.names, channels=4, layout="plain", samples=False)
    other = assemble.read(write_set(tmp_path, plain), 16)
    assert np.abs(other.vis - reference.vis)[reference.cross].max() < 1e-3
    assert np.array_equal(other.uvw_m, reference.uvw_m)
    assert other.antennas.names == reference.antennas.names
    assert (other.weight == 1).all()
    assert (reference.weight == 96).all()


def test_integer_visibilities(reference, subbands):
    def to_pairs(values):
        pairs = np.zeros(values.shape, [("r", "<i4"), ("i", "<i4")])
        pairs["r"], pairs["i"] = np.round(values.real * 1000), np.round(values.imag * 1000)
        return pairs

    for path in subbands:
        spoil(path, "Data/visdata", to_pairs)
    other = assemble.read(subbands, 16)
    cross = reference.cross
    assert np.abs(other.vis[cross] / 1000 - reference.vis[cross]).max() < 2e-3


def test_baseline_major_file_gives_the_same(reference, subbands):
    with h5py.File(subbands[0]) as file:
        order = np.lexsort([file[f"Header/{name}"][()] for name in ("time_array", "ant_1_array", "ant_2_array")])
    for path in subbands:
        for name in ("time_array", "ant_1_array", "ant_2_array", "uvw_array", "integration_time"):
            spoil(path, f"Header/{name}", lambda values: values[order])
        for name in ("visdata", "flags", "nsamples"):
            spoil(path, f"Data/{name}", lambda values: values[order])
    assert np.array_equal(assemble.read(subbands, 16).vis, reference.vis)


def test_missing_subbands_are_present_and_flagged(reference, originals):
    but = [path for n, path in enumerate(originals) if n not in {0, 3, 15}]
    data = assemble.read(but, 16)
    assert np.allclose(data.freq_hz, reference.freq_hz, rtol=0, atol=1e-3)
    lost = np.zeros(64, bool)
    for n in (0, 3, 15):
        lost[(15 - n) * 4 : (16 - n) * 4] = True
    assert data.flag[:, lost].all()
    assert not data.vis[:, lost].any()
    assert np.abs(data.vis - reference.vis)[:, ~lost].max() < 1e-5


def test_one_subband_alone_finds_its_place(reference, originals):
    data = assemble.read([originals[7]], 16)
    assert np.allclose(data.freq_hz, reference.freq_hz, rtol=0, atol=1e-3)
    assert np.nonzero(~data.flag.all((0, 2)))[0].tolist() == [32, 33, 34, 35]


def test_weight_is_the_mean_of_the_live_samples(subbands):
    for path in subbands:
        spoil(path, "Data/nsamples", lambda values: values * 0 + 48)
    assert np.allclose(assemble.read(subbands, 16).weight, 48)


def test_zeros_and_flags_of_the_file_are_flagged(subbands, reference):
    spoil(subbands[2], "Data/visdata", lambda v: np.where(np.arange(len(v))[:, None, None, None] < 2, 0, v))
    spoil(subbands[4], "Data/flags", lambda v: v + 1)
    data = assemble.read(subbands, 16)
    mine = data.flag & ~reference.flag
    assert mine[:, 44:48].all()  # sb04
    assert mine[:, 52:56].any((1, 2)).sum() == 2  # two rows of sb02
    assert mine.sum() == 2 * 4 * 2 + 63 * 4 * 2
    assert "every sample of visdata is zero, NaN or flagged" in data.notes[0]


def test_nan_filled_file_is_flagged_and_told(subbands):
    spoil(subbands[6], "Data/visdata", lambda v: v * np.nan)
    data = assemble.read(subbands, 16)
    assert np.isfinite(data.vis).all()
    assert data.flag[:, 36:40].all()
    assert subbands[6].name in data.notes[0]


def test_nothing_but_nan_is_refused(subbands):
    for path in subbands:
        spoil(path, "Data/visdata", lambda v: v * np.nan)
    with pytest.raises(BadInput, match=r"sb00\.hdf5 and 15 more: every sample of Data/visdata is zero, NaN or flagged"):
        assemble.read(subbands, 16)


def test_wrong_uvw_are_seen(reference, subbands):
    assert reference.uvw_error_lambda < 1e-3
    spoil(subbands[0], "Header/uvw_array", lambda v: v + np.array([0, 0, 1.0], np.float32))
    assert assemble.read(subbands, 16).uvw_error_lambda == pytest.approx(1.4973e9 / 299792458, rel=1e-3)


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("Data/visdata", lambda v: v[:-1], r"sb03\.hdf5: Data/visdata has shape \(62, 1, 4, 2\)"),
        ("Header/ant_1_array", lambda v: v[::-1], r"sb03\.hdf5: ant_1_array, ant_2_array or time_array differ"),
        ("Header/time_array", lambda v: v + 1e-3, r"sb03\.hdf5: ant_1_array, ant_2_array or time_array differ"),
        ("Header/freq_array", lambda v: v + 2e6, r"sb03\.hdf5: freq_array starts at"),
        ("Header/telescope_name", lambda _: b"ELSEWHERE", r"sb03\.hdf5: telescope in the header differ"),
        ("Header/polarization_array", lambda v: v[::-1], r"sb03\.hdf5: polarizations in the header differ"),
    ],
)
def test_file_that_contradicts_its_set_is_named(subbands, name, change, words):
    spoil(subbands[3], name, change)
    with pytest.raises(BadInput, match=words):
        assemble.read(subbands, 16)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda _: b"", "has 0 bytes"),
        (lambda _: b"not hdf5" * 99, "is no HDF5 file"),
        (lambda good: good[:-5000], "cannot be read as HDF5 .*truncated"),
    ],
)
def test_broken_file_is_named(subbands, content, words):
    subbands[9].write_bytes(content(subbands[9].read_bytes()))
    with pytest.raises(BadInput, match=rf"sb09\.hdf5 {words}"):
        assemble.read(subbands, 16)


def test_missing_field_is_named(subbands):
    with h5py.File(subbands[9], "a") as file:
        del file["Header/antenna_positions"]
    with pytest.raises(BadInput, match=r"sb09\.hdf5 lacks the field 'antenna_positions' of UVH5"):
        assemble.read(subbands, 16)


def test_two_files_of_one_subband_are_refused(originals, subbands):
    with pytest.raises(BadInput, match="two files of the same subband"):
        assemble.read([*originals, subbands[0]], 17)


def test_whole_band_in_one_file_gives_the_same(reference, originals, tmp_path):
    whole = tmp_path / "20260125t222553z.uvh5"
    files = [h5py.File(path) for path in originals]
    with h5py.File(whole, "w") as out:
        files[0].copy("Header", out)
        del out["Header/freq_array"]
        out["Header/freq_array"] = np.concatenate([file["Header/freq_array"][()] for file in files], axis=1)
        for name in ("visdata", "flags", "nsamples"):
            out[f"Data/{name}"] = np.concatenate([file[f"Data/{name}"][()] for file in files], axis=2)
    for file in files:
        file.close()
    data = assemble.read([whole], 1)
    assert np.allclose(data.freq_hz, reference.freq_hz, rtol=0, atol=1e-3)
    assert np.abs(data.vis - reference.vis)[reference.cross].max() < 1e-5
    assert np.array_equal(data.uvw_m, reference.uvw_m)


def test_boolean_flags_are_read(tmp_path, recording):
    paths = write_set(tmp_path, Recording(names=recording.names, channels=4, layout="plain"))
    with h5py.File(paths[2], "a") as file:
        file["Data/flags"][5] = True
    assert assemble.read(paths, 16).flag.sum() == 4 * 2


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan, complex(0, np.inf)])
def test_what_is_not_finite_is_flagged_counted_and_told(subbands, reference, value):
    def put(values):
        values[7, 0, 2, 1] = value
        return values

    for path in subbands[2:4]:
        spoil(path, "Data/visdata", put)
    data = assemble.read(subbands, 16)
    assert data.not_finite == 2
    assert (data.flag & ~reference.flag).sum() == 2
    assert np.isfinite(data.vis).all()
    told = [f"{path.name}: 1 of 504 visibilities are infinite or NaN" for path in subbands[2:4]]
    assert data.notes == told


def test_zeros_are_not_counted_as_not_finite(subbands):
    spoil(subbands[2], "Data/visdata", lambda v: v * 0)
    assert assemble.read(subbands, 16).not_finite == 0


def test_subband_beyond_the_set_is_refused(originals, tmp_path):
    path = tmp_path / originals[3].name.replace("sb03", "sb99")
    path.write_bytes(originals[3].read_bytes())
    with pytest.raises(BadInput, match="its name says subband 99, a full set has 16"):
        assemble.read([*originals[:3], path], 16)


def test_large_antenna_numbers_take_no_memory(subbands, reference):
    """A table by number would need 16 TB."""
    for path in subbands:
        for name in ("antenna_numbers", "ant_1_array", "ant_2_array"):
            spoil(path, f"Header/{name}", lambda v: v.astype(np.int64) + 2 * 10**12)
    assert np.array_equal(assemble.read(subbands, 16).vis, reference.vis)


def test_vanished_file_is_named(tmp_path):
    with pytest.raises(BadInput, match=r"gone_sb00.*No such file"):
        assemble.read([tmp_path / "gone_sb00.hdf5"], 16)
