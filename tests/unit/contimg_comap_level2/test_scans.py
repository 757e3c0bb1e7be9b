from __future__ import annotations

import h5py
import numpy as np
import pytest
from comap_sim import simulated

from contimg.instruments.comap.modules import ScanArgs
from contimg.instruments.comap.simulate.config import Recording
from contimg.radio.level1 import open_level1
from contimg_comap_level2.scans import bits, find_scans


@pytest.mark.parametrize(("value", "expected"), [(8192, [13]), (33280, [9, 15]), (0, []), (-1, [])])
def test_t28_all_bits_are_seen(value, expected):
    assert bits(np.array([value])) == expected


def test_lissajous_scans_are_cut(tmp_path):
    path = simulated(tmp_path, channels=16, feeds=(1,))
    with open_level1(path) as level1:
        assert find_scans(level1, ScanArgs()) == pytest.approx(np.array([[2250, 6140]]), abs=30)


@pytest.mark.parametrize("bit", [8, 9, 10])
def test_other_scans_go_by_the_feature_bits_defect_2(tmp_path, bit):
    raster = Recording(obsid=60011, source="TauA", mjd=59600.25, mode="raster")
    path = simulated(tmp_path, channels=16, feeds=(1,), recordings=(raster.model_dump(),))
    with h5py.File(path, "r+") as file:
        features = file["spectrometer/features"][...]
        file["spectrometer/features"][...] = np.where(features == 1 << 9, 1 << bit, features)
    with open_level1(path) as level1:
        assert find_scans(level1, ScanArgs()).tolist() == [[1250, 6249]]
