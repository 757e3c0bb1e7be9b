"""The archive on disk: names, supersession, links, refusals (S3 in tests/integration/test_archive_s3.py)."""

import errno
import fcntl
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from committed import commit, sha256_of
from structlog.testing import capture_logs
from waiting import until

from contimg import archive as module
from contimg.archive import Archive
from contimg.errors import BadConfig, Damaged, ResourceExhausted, Unavailable
from contimg.models.plan import Plan, plan_item
from contimg.models.quality import Verdict
from contimg.volume.layout import Layout

A, B, P, Q = (letter * 32 for letter in "abcd")
NAME = "mosaics/2026-01-25/mosaic_g1_coadd.fits"


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "stage", tmp_path / "data")


def plan_of(runs, *, publish=True, reason=""):
    items = tuple(
        plan_item(p, r.manifest.task, "g1", "2026-01-25", directory=(r.path / p.path).is_dir())
        for r in runs
        for p in r.manifest.products
    )
    return Plan(
        group="g1",
        date="2026-01-25",
        policy="always",
        publish=publish,
        reason=reason,
        verdict=Verdict.PASS,
        items=items,
    )


def made(layout, task, publish_task, content):
    runs = [
        commit(layout, "mosaic", task, "mosaic", {"": ("mosaic_g1_coadd.fits", content)}),
        commit(layout, "calibration_table", task, "solve", {"bpcal": ("g1_bpcal", {"t.dat": content, "s/x": b"x"})}),
        commit(layout, "image", task, "image", {"fits": ("t1.fits", b"image" + content)}),
    ]
    plan = plan_of(runs)
    files = {"plan": ("plan_g1.json", plan.model_dump_json().encode())}
    return plan, commit(layout, "metadata", publish_task, "publish", files)


def test_everybody_sees_real_files_and_directories(layout):
    plan, run = made(layout, A, P, b"first")
    Archive(layout).publish(plan, run)
    name = layout.archive / NAME
    assert name.read_bytes() == b"first"
    assert not name.is_symlink()
    assert name.stat().st_mode & 0o222 == 0
    assert not name.samefile(layout.run("mosaic", A) / "mosaic_g1_coadd.fits")
    table = layout.archive / "caltables/2026-01-25/g1_bpcal"
    assert sha256_of(table) == sha256_of(layout.run("calibration_table", A) / "g1_bpcal")
    assert (layout.archive / "images/2026-01-25/g1/t1.fits").read_bytes() == b"imagefirst"
    assert (layout.archive / "metadata/2026-01-25/plan_g1.json").exists()


def test_validated_files_are_hard_links_on_staging(layout):
    plan, run = made(layout, A, P, b"first")
    Archive(layout).publish(plan, run)
    assert (layout.products / NAME).samefile(layout.run("mosaic", A) / "mosaic_g1_coadd.fits")
    assert not (layout.products / NAME).is_symlink()
    assert not (layout.products / "caltables").exists()


def test_links_become_symlinks_where_hard_links_are_refused(layout, monkeypatch):
    plan, _ = made(layout, A, P, b"first")

    def refused(self, target):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(self))

    archive = Archive(layout)
    for item in plan.items:
        archive._copy(item)
    monkeypatch.setattr(Path, "hardlink_to", refused)
    archive._validate(plan.items[0])
    assert (layout.products / NAME).is_symlink()
    assert (layout.products / NAME).read_bytes() == b"first"


def test_repeating_writes_nothing(layout):
    plan, run = made(layout, A, P, b"first")
    Archive(layout).publish(plan, run)

    def stamps():
        return {
            p: (p.lstat().st_ino, p.lstat().st_mtime_ns) for p in layout.archive.rglob("*") if ".locks" not in p.parts
        }

    before = stamps()
    Archive(layout).publish(plan, run)
    assert stamps() == before


def test_staging_may_be_gone_when_the_archive_has_it(layout):
    plan, run = made(layout, A, P, b"first")
    Archive(layout).publish(plan, run)
    (layout.run("mosaic", A) / "mosaic_g1_coadd.fits").unlink()
    Archive(layout).publish(plan, run)


def test_new_recipe_moves_the_old_aside_and_back_again(layout):
    archive = Archive(layout)
    old, new = made(layout, A, P, b"first"), made(layout, B, Q, b"second")
    archive.publish(*old)
    archive.publish(*new)
    assert (layout.archive / NAME).read_bytes() == b"second"
    assert (layout.archive / "superseded" / A / NAME).read_bytes() == b"first"
    aside = layout.archive / "superseded" / A / "caltables/2026-01-25/g1_bpcal"
    assert (aside / "t.dat").read_bytes() == b"first"
    archive.publish(*old)
    assert (layout.archive / NAME).read_bytes() == b"first"
    assert not (layout.archive / "superseded" / A).exists()
    assert (layout.archive / "superseded" / B / NAME).read_bytes() == b"second"


def test_foreign_file_under_a_name_is_kept(layout):
    (layout.archive / NAME).parent.mkdir(parents=True)
    (layout.archive / NAME).write_bytes(b"of a person")
    Archive(layout).publish(*made(layout, A, P, b"first"))
    kept = list((layout.archive / "superseded").rglob("mosaic_g1_coadd.fits"))
    assert [path.read_bytes() for path in kept] == [b"of a person"]
    assert (layout.archive / NAME).read_bytes() == b"first"


def test_damaged_product_is_refused(layout):
    plan, run = made(layout, A, P, b"first")
    source = layout.run("mosaic", A) / "mosaic_g1_coadd.fits"
    source.chmod(0o644)
    source.write_bytes(b"wrong")
    with pytest.raises(Damaged, match=r"mosaic_g1_coadd\.fits has sha256"):
        Archive(layout).publish(plan, run)
    assert not (layout.archive / NAME).exists()
    assert not [p for p in layout.archive.rglob("*") if "part" in p.name]


def test_missing_product_is_named(layout):
    plan, run = made(layout, A, P, b"first")
    (layout.run("image", A) / "t1.fits").unlink()
    with pytest.raises(Damaged, match=r"t1\.fits is gone"):
        Archive(layout).publish(plan, run)


@pytest.mark.parametrize(
    ("code", "error"),
    [(errno.ENOSPC, ResourceExhausted), (errno.EROFS, BadConfig), (errno.EIO, Unavailable)],
)
def test_errors_of_the_disk_have_the_class_that_decides(layout, monkeypatch, code, error):
    plan, run = made(layout, A, P, b"first")

    def broken(source, target):
        raise OSError(code, os.strerror(code), str(target))

    monkeypatch.setattr(module.shutil, "copyfile", broken)
    with pytest.raises(error, match=r"mosaic_g1_coadd\.fits"):
        Archive(layout).publish(plan, run)


def test_archive_below_a_file_or_a_loop_is_a_configuration_error(layout, tmp_path):
    plan, run = made(layout, A, P, b"first")
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(BadConfig, match=r"/data.* cannot be written"):
        Archive(layout).publish(plan, run)
    (tmp_path / "data").unlink()
    (tmp_path / "data").symlink_to("data")
    with pytest.raises(BadConfig, match=r"/data.* cannot be written"):
        Archive(layout).publish(plan, run)


def test_another_process_holding_the_group_is_waited_for(layout):
    plan, run = made(layout, A, P, b"first")
    (layout.archive / ".locks").mkdir(parents=True)
    lock = layout.archive / ".locks/group-g1"
    holder = "import fcntl,sys; f=open(sys.argv[1],'w'); fcntl.flock(f,2); print('held',flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with lock.open() as mine, pytest.raises(BlockingIOError):
            fcntl.flock(mine, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with capture_logs() as said:
            publishing = threading.Thread(target=Archive(layout).publish, args=(plan, run))
            publishing.start()
            until(lambda: said)
            other.stdin.close()
            publishing.join()
        assert said[0] == {"event": "waits for another publication", "lock": str(lock), "log_level": "info"}
