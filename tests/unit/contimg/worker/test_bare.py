from __future__ import annotations

import pytest
from toy_stages import toy_task

from contimg.errors import BadInput
from contimg.models.manifest import Usage
from contimg.models.observation import ObservationRecord
from contimg.stage import ProductDraft, StageResult
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Made, commit
from contimg.volume.names import name_products
from contimg.worker.bare import recognise


@pytest.fixture
def view(tmp_path):
    path = tmp_path / "view"
    path.mkdir()
    return path


@pytest.fixture
def files(tmp_path):
    def make(*names: str):
        for name in names:
            path = tmp_path / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "files"

    return make


MS = ("x_cal.ms/table.dat", "x_cal.ms/ANTENNA/table.dat", "x_cal.ms/FIELD/table.dat")


@pytest.mark.parametrize(("stage", "type_"), [("image", "calibrated_ms"), ("apply", "raw_ms"), ("solve", "raw_ms")])
def test_what_a_measurement_set_is_depends_on_the_stage(files, view, stage, type_):
    root = files(*MS)
    given = recognise(stage, [root / "x_cal.ms"], view)
    (run,) = given.inputs[type_]
    assert run.manifest.unit == "x"
    assert (run.product(type_) / "ANTENNA").is_dir()


def test_calibration_tables_and_their_record_are_one_run(files, view):
    root = files("g_bpcal/table.dat", "g_2gcal/ANTENNA/table.dat", "g_2gcal/FIELD/table.dat", "g_gpcal/table.dat")
    (root / "g_calsel.json").write_text("{}")
    given = recognise("apply", [root / name for name in ("g_bpcal", "g_gpcal", "g_2gcal", "g_calsel.json")], view)
    (run,) = given.inputs["calibration_table"]
    assert [product.role for product in run.manifest.products] == ["bpcal", "gpcal", "2gcal", "calsel"]


def test_images_bring_what_lies_beside_them(files, view):
    root = files("a.fits", "a_pb.fits", "a_residual.fits", "b.fits", "b_pb.fits", "c_pb.fits")
    given = recognise("mosaic", [root / "a.fits", root / "a_pb.fits", root / "b.fits"], view)
    one, two = given.inputs["image"]
    assert one.product("image", "pb").name == "a_pb.fits"
    assert sorted(product.role for product in one.manifest.products) == ["fits", "pb", "residual"]
    assert sorted(product.role for product in two.manifest.products) == ["fits", "pb"]


def test_a_mosaic_for_crossmatch_with_catalogs(files, view):
    root = files("mosaic_g.fits", "mosaic_g_noise.fits", "nvss.csv", "2026-01-25.txt")
    given = recognise("crossmatch", [root / "mosaic_g.fits", root / "nvss.csv", root / "2026-01-25.txt"], view)
    (run,) = given.inputs["mosaic"]
    assert run.product("mosaic", "noise").exists()
    assert set(given.reference) == {"catalog:nvss.csv", "flags:2026-01-25"}


def test_raw_files_and_observation_records(files, view):
    root = files("a_sb00.hdf5", "a_sb01.hdf5", "n.fits")
    when = "2026-01-25T22:00:13"
    record = ObservationRecord(
        id=when, telescope="vla", state="sealed", start=when, end=when, integrations=1, integration_s=1, ra_deg=1,
        dec_deg=2, files=(), digest="d", bytes=0, sealed_at=when,
    )  # fmt: skip
    (root / "r.json").write_text(record.model_dump_json())
    given = recognise("convert", [root / "r.json", root / "a_sb00.hdf5", root / "a_sb01.hdf5", root / "n.fits"], view)
    assert given.records == [record]
    assert [path.name for path in given.raw] == ["a_sb00.hdf5", "a_sb01.hdf5", "n.fits"]


def test_a_name_of_a_committed_run_brings_the_run(layout, view):
    task = toy_task()
    attempt = open_attempt(layout, "toying", task, 0)
    (attempt.path / "x.image").mkdir()
    (attempt.path / "x.image" / "table.dat").touch()
    draft = ProductDraft("image", "x", "x.image", ("d/x.image",))
    run = commit(layout, attempt, task, Made(StageResult((draft,), info={"rms_jy": 1e-3})), Usage())
    name_products(layout, run)
    given = recognise("mosaic", [layout.home("image") / "d" / "x.image", run.path], view)
    assert given.inputs == {"image": [run]}


@pytest.mark.parametrize("name", ["notes.doc", "dir/file"])
def test_what_no_stage_reads_is_named(files, view, name):
    root = files(name)
    with pytest.raises(BadInput, match="nothing that stage 'image' reads"):
        recognise("image", [root / name.split("/")[0]], view)


def test_a_missing_file_is_named(tmp_path, view):
    with pytest.raises(BadInput, match=r"gone\.ms does not exist"):
        recognise("image", [tmp_path / "gone.ms"], view)
