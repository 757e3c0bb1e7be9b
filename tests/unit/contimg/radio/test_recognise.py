from __future__ import annotations

import pytest

from contimg.radio.recognise import calibration_table, fits_map, measurement_set


@pytest.mark.parametrize(("name", "unit"), [("a.ms", "a"), ("a_cal.ms", "a"), ("plain", "plain")])
def test_a_measurement_set_is_known_by_its_subtables(tmp_path, name, unit):
    (tmp_path / name / "ANTENNA").mkdir(parents=True)
    assert measurement_set(tmp_path / name) is None
    (tmp_path / name / "FIELD").mkdir()
    assert measurement_set(tmp_path / name) == unit


@pytest.mark.parametrize(
    ("name", "role"), [("g_bpcal", "bpcal"), ("g_2gcal", "2gcal"), ("g_calsel.json", "calsel"), ("g.ms", None)]
)
def test_a_calibration_table_is_known_by_its_name_and_is_no_measurement_set(tmp_path, name, role):
    for table in ("ANTENNA", "FIELD"):
        (tmp_path / name / table).mkdir(parents=True)
    assert calibration_table(tmp_path / name) == role
    assert (measurement_set(tmp_path / name) is None) == (role is not None)


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.fits", ("main", "a")), ("a_pb.fits", ("pb", "a")), ("a_pbcor.fits", ("pbcor", "a")), ("a_pb.txt", None)],
)
def test_a_map_is_known_by_the_end_of_its_name(tmp_path, name, found):
    assert fits_map(tmp_path / name, ("pbcor", "pb"), "main") is None, "it is not there"
    (tmp_path / name).touch()
    assert fits_map(tmp_path / name, ("pbcor", "pb"), "main") == found
