"""The archive against a real S3 server: objects, pointers, refusals, restarts, deaths."""

import io
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from committed import commit, sha256_of
from minio import Minio
from sites import points

from contimg.archive import Archive
from contimg.errors import BadConfig, Damaged, Unavailable
from contimg.models.plan import Plan, plan_item
from contimg.models.quality import Verdict
from contimg.objectstore import PART, ObjectStore
from contimg.servers.s3 import EmbeddedS3
from contimg.volume.layout import Layout

pytest_plugins = ("s3",)
pytestmark = pytest.mark.integration

A, B, P, Q = (letter * 32 for letter in "abcd")
NAME = "mosaics/2026-01-25/mosaic_g1_coadd.fits"


def client_of(target):
    return Minio(target.endpoint, target.access_key, target.secret_key, secure=target.secure, region=target.region)


def setting(base: Path) -> Layout:
    return Layout(base / "stage", base / "data")


def publication(layout, task, publish_task, content, *, caltable=False):
    """Commit a mosaic (and a table), and the publish run whose plan names them."""
    runs = [commit(layout, "mosaic", task, "mosaic", {"": ("mosaic_g1_coadd.fits", content)})]
    if caltable:
        files = {"bpcal": ("g1_bpcal", {"table.dat": content, "ANTENNA/table.f0": b"antennas"})}
        runs.append(commit(layout, "calibration_table", task, "solve", files))
    items = tuple(
        plan_item(p, r.manifest.task, "g1", "2026-01-25", directory=(r.path / p.path).is_dir())
        for r in runs
        for p in r.manifest.products
    )
    plan = Plan(group="g1", date="2026-01-25", policy="always", publish=True, verdict=Verdict.PASS, items=items)
    files = {
        "plan": ("plan_g1.json", plan.model_dump_json().encode()),
        "report": ("report_g1.html", b"<html>" + content),
    }
    return commit(layout, "metadata", publish_task, "publish", files)


def publish(archive, run):
    """Carry out the plan of a run, as the effect of its stage does."""
    archive.publish(Plan.model_validate_json(run.product("metadata", "plan").read_bytes()), run)


def objects(target):
    client = client_of(target)
    return {
        o.object_name: client.get_object(target.bucket, o.object_name).data
        for o in client.list_objects(target.bucket, recursive=True)
    }


def test_products_and_pointers_arrive(tmp_path, s3_target):
    layout = setting(tmp_path)
    run = publication(layout, A, P, b"first", caltable=True)
    publish(Archive(layout, s3_target), run)
    there = objects(s3_target)
    assert there[f"mosaics/2026-01-25/{A}/mosaic_g1_coadd.fits"] == b"first"
    pointer = json.loads(there[f"{NAME}.json"])
    assert there[pointer["key"]] == b"first"
    assert pointer["sha256"] == sha256_of(layout.archive / NAME)
    assert f"metadata/2026-01-25/{P}/plan_g1.json" in there


def test_directory_becomes_one_tar_with_the_same_content(tmp_path, s3_target):
    layout = setting(tmp_path)
    publish(Archive(layout, s3_target), publication(layout, A, P, b"first", caltable=True))
    with tarfile.open(fileobj=io.BytesIO(objects(s3_target)[f"caltables/2026-01-25/{A}/g1_bpcal.tar"])) as tar:
        tar.extractall(tmp_path / "out", filter="data")
    assert sha256_of(tmp_path / "out/g1_bpcal") == sha256_of(layout.archive / "caltables/2026-01-25/g1_bpcal")


def test_repeating_sends_nothing(tmp_path, s3_target):
    layout = setting(tmp_path)
    run = publication(layout, A, P, b"first", caltable=True)
    publish(Archive(layout, s3_target), run)
    client = client_of(s3_target)
    before = {o.object_name: (o.etag, o.last_modified) for o in client.list_objects(s3_target.bucket, recursive=True)}
    publish(Archive(layout, s3_target), run)
    after = {o.object_name: (o.etag, o.last_modified) for o in client.list_objects(s3_target.bucket, recursive=True)}
    assert before == after


def test_new_recipe_and_back_move_the_pointer_and_keep_both(tmp_path, s3_target):
    layout = setting(tmp_path)
    archive = Archive(layout, s3_target)
    old, new = publication(layout, A, P, b"first"), publication(layout, B, Q, b"second")
    for run, content in ((old, b"first"), (new, b"second"), (old, b"first")):
        publish(archive, run)
        there = objects(s3_target)
        assert there[json.loads(there[f"{NAME}.json"])["key"]] == content
        assert (layout.archive / NAME).read_bytes() == content
    assert {there[f"mosaics/2026-01-25/{task}/mosaic_g1_coadd.fits"] for task in (A, B)} == {b"first", b"second"}


def test_upload_in_parts_is_verified(tmp_path, s3_target):
    layout = setting(tmp_path)
    content = os.urandom(2 * PART + 12345)
    run = publication(layout, A, P, content)
    publish(Archive(layout, s3_target), run)
    assert objects(s3_target)[f"mosaics/2026-01-25/{A}/mosaic_g1_coadd.fits"] == content


def test_damaged_object_of_ours_is_sent_again_and_a_foreign_one_is_left_alone(tmp_path, s3_target):
    layout = setting(tmp_path)
    run = publication(layout, A, P, b"first")
    publish(Archive(layout, s3_target), run)
    key, client = f"mosaics/2026-01-25/{A}/mosaic_g1_coadd.fits", client_of(s3_target)
    ours = {"sha256": sha256_of(layout.archive / NAME)}
    client.put_object(s3_target.bucket, key, io.BytesIO(b"fir"), 3, metadata=ours)
    publish(Archive(layout, s3_target), run)
    assert objects(s3_target)[key] == b"first"
    client.put_object(s3_target.bucket, key, io.BytesIO(b"other"), 5)
    with pytest.raises(Damaged, match=f"{key}.*holds sha256 unknown"):
        publish(Archive(layout, s3_target), run)
    assert objects(s3_target)[key] == b"other"


@pytest.mark.parametrize("change", [{"access_key": "stranger"}, {"secret_key": "wrong"}])
def test_wrong_key_is_named(tmp_path, s3_target, change):
    target = replace(s3_target, **change)
    with pytest.raises(BadConfig, match=f"refuses access key '{target.access_key}'") as caught:
        ObjectStore(target).prepare()
    assert target.secret_key not in str(caught.value)


def test_missing_bucket_is_named_when_it_may_not_be_made(s3_target):
    with pytest.raises(BadConfig, match=f"bucket '{s3_target.bucket}' does not exist"):
        ObjectStore(replace(s3_target, create_bucket=False)).prepare()


def test_unreachable_server_is_named_and_disk_copies_stay(tmp_path, s3_target):
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{held.getsockname()[1]}"
    layout = setting(tmp_path)
    run = publication(layout, A, P, b"first")
    with pytest.raises(Unavailable, match=f"no S3 server answers at http://{dead}"):
        publish(Archive(layout, replace(s3_target, endpoint=dead)), run)
    assert (layout.archive / NAME).read_bytes() == b"first"
    publish(Archive(layout, s3_target), run)
    assert f"{NAME}.json" in objects(s3_target)


def test_server_that_is_no_s3_is_not_usable(s3_target, s3_server):
    filer = f"127.0.0.1:{s3_server._ports['master.port']}"
    with pytest.raises((Unavailable, BadConfig), match=filer):
        ObjectStore(replace(s3_target, endpoint=filer)).prepare()


def test_embedded_server_survives_a_kill_on_its_directory(tmp_path):
    layout = setting(tmp_path)
    server = EmbeddedS3(tmp_path / "s3")
    first = server.start()
    publish(Archive(layout, first), publication(layout, A, P, b"first"))
    server.kill()
    with EmbeddedS3(tmp_path / "s3") as again:
        assert again.target == first
        assert objects(first)[f"mosaics/2026-01-25/{A}/mosaic_g1_coadd.fits"] == b"first"
        pid = again.pid
    assert not Path(f"/proc/{pid}").exists()
    assert (tmp_path / "s3/endpoint.json").stat().st_mode & 0o077 == 0
    assert (tmp_path / "s3/identities.json").stat().st_mode & 0o077 == 0


STARTER = """
import sys
from pathlib import Path
from contimg.servers.s3 import EmbeddedS3
server = EmbeddedS3(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_embedded_server_ends_with_the_process_that_started_it(tmp_path):
    argv = [sys.executable, "-c", STARTER, str(tmp_path / "s3")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        handle = os.pidfd_open(pid)
        parent.kill()
        parent.wait()
    ended, _, _ = select.select([handle], [], [], 10.0)
    os.close(handle)
    assert ended == [handle]


def die_at(point, layout, target, run):
    """Publish in a forked process that kills itself at a point; say whether it died."""
    child = os.fork()
    if child == 0:
        os.environ["CONTIMG_CRASH"] = point
        try:
            publish(Archive(layout, target), run)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


NOT_PASSED = {
    "link.before@archive._validate:2",
    "link.after@archive._validate:2",
    "remove.after@archive._copy_verified",
}
"""Where hard links are not possible, and where a product is damaged: tests/unit/contimg/test_archive.py."""


def shared_points():
    """Every crash point of the archive, taken from the source itself."""
    root = Path(sys.modules["contimg"].__file__).parent
    return sorted({*points(root / "archive.py"), *points(root / "objectstore.py")} - NOT_PASSED)


@pytest.mark.parametrize("point", shared_points())
def test_death_at_every_point_is_mended_by_the_next_try(tmp_path, s3_target, point):
    layout = setting(tmp_path)
    old, new = (publication(layout, t, p, c, caltable=True) for t, p, c in ((A, P, b"first"), (B, Q, b"second")))
    publish(Archive(layout, s3_target), old)
    deaths = 0
    for run, content in ((new, b"second"), (old, b"first")):
        deaths += die_at(point, layout, s3_target, run)
        publish(Archive(layout, s3_target), run)
        check_whole(layout, s3_target, content)
    assert deaths > 0, f"{point} was never passed"
    # content of no recipe was lost, and no half-made file stands anywhere
    assert {p.read_bytes() for p in (layout.archive / "mosaics/.runs").rglob("*.fits")} == {b"first", b"second"}
    everything = [p.name for p in layout.archive.rglob("*") if p.is_file() and ".locks" not in p.parts]
    assert not [name for name in everything if re.search(r"\.part$|^\.", name)]


def check_whole(layout, target, content):
    there = objects(target)
    assert there[json.loads(there[f"{NAME}.json"])["key"]] == content
    assert (layout.archive / NAME).read_bytes() == content
    assert (layout.archive / "caltables/2026-01-25/g1_bpcal/table.dat").read_bytes() == content
    aside = {p.read_bytes() for p in (layout.archive / "superseded").rglob("*.fits")}
    assert content not in aside
