from __future__ import annotations

import json

import pytest
from gain_bench import raw_run
from skies import manifest

from contimg.errors import BadConfig, BadInput
from contimg.models.manifest import Product
from contimg.stage import Run
from contimg_solve.choice import choose, origin_of
from contimg_solve.params import Calibration


def run_of(tmp_path, unit, *calibrators):
    listed = [{"name": name, "apparent_flux_jy": flux} for name, flux in calibrators]
    return raw_run(tmp_path / f"{unit}.ms", unit, {"calibrators": listed})


@pytest.fixture
def runs(tmp_path):
    return [
        run_of(tmp_path, "a", ("0834+555", 5.0), ("1331+305", 3.0)),
        run_of(tmp_path, "b", ("1331+305", 9.0)),
        run_of(tmp_path, "c"),
    ]


def test_engine_decides(runs):
    given = Calibration(mode="own", calibrator="0834+555", member="c")
    made = choose(given, runs, has_origin=False)
    assert (made.mode, made.calibrator, made.member) == ("own", "0834+555", "c")
    given = Calibration(mode="borrowed", calibrator="0834+555")
    assert choose(given, runs, has_origin=True).mode == "borrowed"


def test_by_hand_the_strongest_is_taken(runs):
    made = choose(Calibration(), runs, has_origin=False)
    assert (made.mode, made.calibrator, made.member) == ("own", "1331+305", "b")
    assert choose(Calibration(calibrator="0834+555"), runs, has_origin=False).member == "a"
    assert choose(Calibration(calibrator="3C286"), runs[:1], has_origin=False).calibrator == "1331+305"
    assert choose(Calibration(calibrator="auto"), runs, has_origin=True).mode == "nearest"


def test_no_transit_is_refused(runs):
    with pytest.raises(BadInput, match="transits in none of c"):
        choose(Calibration(), runs[2:], has_origin=False)
    with pytest.raises(BadConfig, match="did you mean"):
        choose(Calibration(calibrator="0834+556"), runs, has_origin=False)
    with pytest.raises(BadInput, match="name one"):
        choose(Calibration(mode="own", member="a"), runs, has_origin=False)


def solved_run(tmp_path, record):
    (tmp_path / "bp").mkdir()
    (tmp_path / "calsel.json").write_text(record if isinstance(record, str) else json.dumps(record))
    products = [
        Product(type="calibration_table", id=path, path=path, role=role)
        for role, path in (("bpcal", "bp"), ("calsel", "calsel.json"))
    ]
    return Run(tmp_path, manifest("c" * 32, "solve", products))


@pytest.mark.parametrize(("first", "wanted"), [(None, "c" * 32), ("d" * 32, "d" * 32)])
def test_origin_is_the_run_that_solved_the_table(tmp_path, first, wanted):
    origin = origin_of(solved_run(tmp_path, {"tables": [{"role": "bpcal", "origin_task": first}]}))
    assert origin.task == wanted
    assert origin.path == tmp_path / "bp"


@pytest.mark.parametrize("record", ["no json", {"tables": []}, {}])
def test_broken_record_is_named(tmp_path, record):
    with pytest.raises(BadInput, match=r"calsel\.json"):
        origin_of(solved_run(tmp_path, record))


def test_taken_from_elsewhere_no_calibrator_is_looked_for(runs):
    made = choose(Calibration(), runs[2:], has_origin=True)
    assert (made.mode, made.calibrator, made.member) == ("nearest", "", None)
    made = choose(Calibration(mode="borrowed", calibrator="0834+555"), runs[2:], has_origin=False)
    assert (made.mode, made.calibrator, made.member) == ("borrowed", "0834+555", None)


def test_own_is_kept_although_there_is_a_table_to_take(runs):
    assert choose(Calibration(mode="own"), runs, has_origin=True).member == "b"


def test_wanted_calibrator_that_does_not_transit_is_named_with_all_members(runs):
    with pytest.raises(BadInput, match=r"'3C48' transits in none of a, b, c; name another"):
        choose(Calibration(calibrator="3C48"), runs, has_origin=False)


def test_order_of_the_members_does_not_matter(runs):
    assert choose(Calibration(), runs, has_origin=False) == choose(Calibration(), runs[::-1], has_origin=False)


def test_record_that_is_missing_is_named(tmp_path):
    run = solved_run(tmp_path, {"tables": []})
    (tmp_path / "calsel.json").unlink()
    with pytest.raises(BadInput, match=r"calsel\.json cannot be read .*run stage solve again"):
        origin_of(run)


def test_entries_of_other_roles_are_no_bandpass(tmp_path):
    tables = [{"role": "gpcal", "origin_task": None}, {"role": "bpcal", "origin_task": None, "path": "bp"}]
    assert origin_of(solved_run(tmp_path, {"tables": tables})).entry["path"] == "bp"
