from __future__ import annotations

import pytest
from toy_stages import toy_task

from contimg.errors import BadInput
from contimg.models.manifest import Usage
from contimg.models.observation import ObservationRecord
from contimg.models.spec import spec_of
from contimg.stage import ProductDraft, StageResult
from contimg.volume.attempt import open_attempt
from contimg.volume.commit import Reply, commit
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
    found = recognise(spec_of(stage), [root / "x_cal.ms"], view)
    (run,) = found.runs[type_]
    assert run.manifest.unit == "x"
    assert (run.product(type_) / "ANTENNA").is_dir()


def test_calibration_tables_and_their_record_are_one_run(files, view):
    root = files("g_bpcal/table.dat", "g_2gcal/ANTENNA/table.dat", "g_2gcal/FIELD/table.dat", "g_gpcal/table.dat")
    (root / "g_calsel.json").write_text("{}")
    found = recognise(
        spec_of("apply"), [root / name for name in ("g_bpcal", "g_gpcal", "g_2gcal", "g_calsel.json")], view
    )
    (run,) = found.runs["calibration_table"]
    assert [product.role for product in run.manifest.products] == ["bpcal", "gpcal", "2gcal", "calsel"]


def test_images_bring_what_lies_beside_them(files, view):
    root = files("a.fits", "a_pb.fits", "a_residual.fits", "b.fits", "b_pb.fits", "c_pb.fits")
    found = recognise(spec_of("mosaic"), [root / "a.fits", root / "a_pb.fits", root / "b.fits"], view)
    one, two = found.runs["image"]
    assert one.product("image", "pb").name == "a_pb.fits"
    assert sorted(product.role for product in one.manifest.products) == ["fits", "pb", "residual"]
    assert sorted(product.role for product in two.manifest.products) == ["fits", "pb"]


def test_a_mosaic_for_crossmatch_with_catalogs(files, view):
    root = files("mosaic_g.fits", "mosaic_g_noise.fits", "nvss.csv")
    found = recognise(spec_of("crossmatch"), [root / "mosaic_g.fits", root / "nvss.csv"], view)
    (run,) = found.runs["mosaic"]
    assert run.product("mosaic", "noise").exists()
    assert set(found.reference) == {"catalog:nvss.csv"}


def test_reference_data_are_known_by_the_suffix_of_their_kind(files, view):
    root = files("a_sb00.hdf5", "2026-01-25.txt")
    found = recognise(spec_of("convert"), [root / "a_sb00.hdf5", root / "2026-01-25.txt"], view)
    assert set(found.reference) == {"flags:2026-01-25"}


def test_raw_files_and_observation_records(files, view):
    root = files("a_sb00.hdf5", "a_sb01.hdf5", "n.fits")
    when = "2026-01-25T22:00:13"
    record = ObservationRecord(
        id=when, instrument="vla", state="sealed", start=when, end=when, integrations=1, integration_s=1, ra_deg=1,
        dec_deg=2, files=(), digest="d", bytes=0, sealed_at=when,
    )  # fmt: skip
    (root / "r.json").write_text(record.model_dump_json())
    found = recognise(
        spec_of("convert"), [root / "r.json", root / "a_sb00.hdf5", root / "a_sb01.hdf5", root / "n.fits"], view
    )
    assert found.records == [record]
    assert [path.name for path in found.raw] == ["a_sb00.hdf5", "a_sb01.hdf5", "n.fits"]


def test_a_name_of_a_committed_run_brings_the_run(layout, view):
    task = toy_task()
    attempt = open_attempt(layout, "toying", task, 0)
    (attempt.path / "x.image").mkdir()
    (attempt.path / "x.image" / "table.dat").touch()
    draft = ProductDraft("image", "x", "x.image", ("d/x.image",))
    run = commit(layout, attempt, task, Reply(StageResult((draft,), info={"rms_jy": 1e-3})), Usage())
    name_products(layout, run)
    found = recognise(spec_of("mosaic"), [layout.home("image") / "d" / "x.image", run.path], view)
    assert found.runs == {"image": [run]}


@pytest.mark.parametrize("name", ["notes.doc", "dir/file"])
def test_what_no_stage_reads_is_named(files, view, name):
    root = files(name)
    with pytest.raises(BadInput, match="nothing that stage 'image' reads"):
        recognise(spec_of("image"), [root / name.split("/")[0]], view)


def test_a_missing_file_is_named(tmp_path, view):
    with pytest.raises(BadInput, match=r"gone\.ms does not exist"):
        recognise(spec_of("image"), [tmp_path / "gone.ms"], view)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("r.json", '{"integrations": 24}', "is no ObservationRecord"),
        ("r.json", "{garbage", "nothing that stage 'image' reads"),
        ("run/manifest.json", "{garbage", "is no Manifest"),
    ],
)
def test_a_damaged_record_or_manifest_is_told_in_a_sentence(files, view, name, text, words):
    path = files(name) / name
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        recognise(spec_of("image"), [path.parent if name.startswith("run/") else path], view)
