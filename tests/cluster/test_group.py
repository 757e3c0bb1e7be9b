"""From `helm install` to a published mosaic; the same file gives the same bytes on a laptop."""

from __future__ import annotations

import hashlib
import shutil
from itertools import chain
from pathlib import Path

import pytest
from cluster.release import ROOT, STAGES, Release
from commands import contimg
from minio import Minio
from processes import differing, manifests

from contimg.volume.layout import Layout

MINUTES_10 = 600.0
GROUP = (ROOT / "docs" / "samples" / "group.yaml").read_text()
"""The file of the guides: kubectl and the laptop take the same one."""


@pytest.fixture(scope="module")
def published(release: Release, sky, clock) -> dict:
    """The status of the group after four recordings were dropped in one by one."""
    for files in sky.recordings[:4]:
        release.drop(files)
    release.apply(GROUP)
    clock.mark("recordings dropped, group applied")
    release.wait_succeeded("strip", MINUTES_10)
    clock.mark("mosaic published")
    return release.status("strip")


def test_install_to_mosaic_takes_less_than_ten_minutes(published: dict, release: Release, clock) -> None:
    before = 0.0
    print("\nhelm install to mosaic, 4 observations:")
    for name, at in clock.marks.items():
        print(f"  {name:<36} {at - before:7.1f} s   at {at:7.1f} s")
        before = at
    for stage, (first, last) in spans(release).items():
        print(f"    {stage:<34} from {first:5.1f} to {last:5.1f} s after the first task began")
    assert clock.marks["mosaic published"] <= MINUTES_10


def spans(release: Release) -> dict[str, tuple[float, float]]:
    """Return when the first task of each stage began and the last one ended."""
    made = sorted(manifests(release.layout).values(), key=lambda manifest: manifest.started)
    zero = made[0].started
    return {
        stage: (
            min((each.started - zero).total_seconds() for each in made if each.stage == stage),
            max((each.finished - zero).total_seconds() for each in made if each.stage == stage),
        )
        for stage in STAGES
    }


def test_every_stage_ran_once_for_each_unit(published: dict, release: Release) -> None:
    count = dict.fromkeys(STAGES, 0)
    for manifest in manifests(release.layout).values():
        count[manifest.stage] += 1
    assert count == {stage: 4 if stage in ("convert", "apply", "image") else 1 for stage in STAGES}


def test_the_object_store_holds_what_the_data_volume_holds(published: dict, release: Release) -> None:
    """Compared from outside, with a client of its own, by sha256."""
    here = archived(release.volumes / "data" / "products")
    keys = release.secret("store")
    with release.forwarded(f"svc/{release.name}-minio", 9000) as port:
        client = Minio(f"127.0.0.1:{port}", keys["root-user"], keys["root-password"], secure=False)
        there = {
            each.object_name: hashlib.sha256(client.get_object("contimg", each.object_name).read()).hexdigest()
            for each in client.list_objects("contimg", recursive=True)
        }
    runs = {key: value for key, value in there.items() if len(Path(key).parts) == 4}
    assert runs == here
    assert any(key.startswith("mosaics/") for key in runs)


def archived(products: Path) -> dict[str, str]:
    """Return sha256 by the key that a file of the archive has in the object store: type, date, task, path."""
    dates = {file.stat().st_ino: file.parent.name for file in products.glob("*/*/*") if file.is_file()}
    found = {}
    for file in products.glob("*/.runs/*/*"):
        key = "/".join((file.parts[-4], dates[file.stat().st_ino], file.parts[-2], file.name))
        found[key] = hashlib.sha256(file.read_bytes()).hexdigest()
    return found


def test_the_laptop_makes_the_same_tasks_and_the_same_bytes(published: dict, release: Release, sky, tmp_path) -> None:
    (tmp_path / "incoming").mkdir()
    for file in chain.from_iterable(sky.recordings[:4]):
        shutil.copy(file, tmp_path / "incoming")
    layout = Layout(tmp_path / "stage", tmp_path / "data")
    catalogs = tmp_path / "data" / "state" / "config" / "catalogs"
    catalogs.mkdir(parents=True)
    (catalogs / "catalog.ecsv").write_bytes((sky.directory / "catalog.ecsv").read_bytes())
    (tmp_path / "strip.yaml").write_text(GROUP)
    words = ("--stage-base", layout.stage_base, "--data-base", layout.data_base, "--incoming", tmp_path / "incoming")
    finished = contimg("run", tmp_path / "strip.yaml", *words, "--json")
    assert finished.code == 0, finished.err[-3000:]
    assert len(manifests(layout)) == 17
    assert differing(layout, release.layout) == {}
