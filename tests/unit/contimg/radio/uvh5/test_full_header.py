from __future__ import annotations

import h5py
import numpy as np
import pytest
import pyuvdata_reader
from pyuvdata import UVData
from uvh5 import Recording, write_set

from contimg.errors import BadInput
from contimg.radio.uvh5.read import read_full_header
from contimg_convert import assemble


@pytest.fixture(params=["legacy", "plain"])
def one(request, tmp_path):
    recording = Recording(names=("1", "51", "101"), channels=4, layout=request.param, subbands=(3,))
    return write_set(tmp_path, recording)[0]


def test_layouts_give_the_same_header(one):
    head = read_full_header(one, 16)
    assert head.telescope == "OVRO_MMA"
    assert head.subband == 3
    assert head.descending
    assert head.channel_hz.shape == (4,)
    assert head.width_hz == pytest.approx(11718750 / 4)
    assert head.interval_s.shape == head.time_jd.shape == (18,)
    assert head.polarizations == (-5, -6)
    assert np.degrees(head.app_dec_rad) == pytest.approx(16.15)
    assert {"1", "51", "101"} <= set(head.names)
    assert head.site.lat.deg == pytest.approx(37.2334, abs=1e-3)


def test_pointing_from_the_extra_keywords(one):
    with h5py.File(one, "a") as file:
        del file["Header/phase_center_app_dec"]
    assert np.degrees(read_full_header(one, 16).app_dec_rad) == pytest.approx(16.15)
    with h5py.File(one, "a") as file:
        del file["Header/extra_keywords/phase_center_dec"]
    with pytest.raises(BadInput, match=r"sb03\.hdf5 lacks 'phase_center_app_dec'"):
        read_full_header(one, 16)


def test_no_site_where_the_file_has_none(one):
    with h5py.File(one, "a") as file:
        del file["Header/latitude"]
    assert read_full_header(one, 16).site is None


def test_file_that_pyuvdata_wrote(reference, originals, tmp_path):
    """Today's UVH5 with a phase centre catalogue and a driftscan entry holds the same visibilities."""
    paths = []
    for path in originals:
        uv = pyuvdata_reader.read_uvh5(path)
        paths.append(tmp_path / path.name)
        UVData.write_uvh5(uv, str(paths[-1]), run_check=False)
    data = assemble.read(paths, 16)
    assert np.abs(data.vis - reference.vis)[reference.cross].max() < 1e-5
    assert np.abs(data.uvw_m - reference.uvw_m).max() < 1e-6
    assert data.uvw_error_lambda < 1e-3
