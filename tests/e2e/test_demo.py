"""The main job: real VLA data through nine stages, then everything a user may do with the result."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from commands import CONTIMG, Finished, clean_environment, contimg
from minio import Minio

from contimg.cli.demo import anchors
from contimg.servers.s3 import EmbeddedS3
from contimg.volume import disk

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

STAGES = ("convert", "group", "solve", "apply", "image", "mosaic", "crossmatch", "publish")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Finished]:
    directory = tmp_path_factory.mktemp("demo") / "ngc5921"
    return directory, contimg("demo", "--dir", directory, watch=True)


def result_of(directory: Path) -> dict:
    return json.loads((directory / "result.json").read_text())


@pytest.fixture(scope="module")
def first(demo: tuple[Path, Finished]) -> dict:
    directory, finished = demo
    assert finished.code == 0, finished.err[-3000:]
    return json.loads((directory / "result.json").read_text()) | {"peak_pss": finished.peak_pss}


def test_it_publishes_with_verdict_pass(first: dict) -> None:
    assert first["phase"] == "Published"
    assert first["verdict"] == "pass"
    assert first["stages_run"] == 16, "7 convert, group, solve, 2 apply, 2 image, mosaic, crossmatch, publish"
    assert all(first["timings"][stage] > 0 for stage in STAGES)


def test_it_reproduces_the_anchor(first: dict) -> None:
    figures = first["figures"]
    assert figures["solve.flux.1445+099"]["value"] == pytest.approx(2.5265, rel=0.015)
    assert figures["mosaic.peak"]["value"] == pytest.approx(0.0879, rel=0.04)
    assert figures["mosaic.rms"]["value"] <= 0.95e-3
    assert [row["within"] for row in first["anchors"]] == [True] * 4


def test_an_anchor_that_is_missed_is_said(first: dict) -> None:
    figures = first["figures"] | {"solve.flux.1445+099": {"value": 2.6}}
    assert [row["within"] for row in anchors(figures)] == [False, True, True, True]
    assert [row["within"] for row in anchors({})] == [False] * 4


def test_its_memory_is_bounded(first: dict) -> None:
    assert 0 < first["peak_pss"] <= 4 * 2**30


def test_published_files_are_what_the_result_says(demo: tuple[Path, Finished], first: dict) -> None:
    types = {product["type"] for product in first["products"]}
    assert {"mosaic", "catalog", "metadata", "group", "image"} <= types
    for product in first["products"]:
        path = Path(product["path"])
        assert path.exists(), product
        if path.is_file():
            assert disk.sha256_file(path) == product["sha256"]


def test_the_object_store_holds_the_same(demo: tuple[Path, Finished], first: dict) -> None:
    with EmbeddedS3(demo[0] / "s3") as server:
        target = server.target
        client = Minio(target.endpoint, target.access_key, target.secret_key, secure=False)
        stored = {item.object_name: item.size for item in client.list_objects(target.bucket, recursive=True)}
        for product in first["products"]:
            assert product["s3"] in stored
        mosaic = next(p for p in first["products"] if p["type"] == "mosaic" and p["path"].endswith("coadd.fits"))
        answer = client.get_object(target.bucket, mosaic["s3"])
        assert answer.read() == Path(mosaic["path"]).read_bytes()
        answer.close()
        assert any(name.startswith("mosaics/") and name.endswith(".json") for name in stored), "the pointer"


def test_the_brightest_source_stands_where_casa_finds_it(first: dict) -> None:
    mosaic = next(p["path"] for p in first["products"] if p["path"].endswith("coadd.fits"))
    header, data = fits.getheader(mosaic), np.squeeze(fits.getdata(mosaic))
    assert header["BUNIT"] == "Jy/beam"
    assert header["BMAJ"] * 3600 == pytest.approx(54)
    y, x = np.unravel_index(np.nanargmax(data), data.shape)
    ra, dec = WCS(header).celestial.pixel_to_world_values(x, y)
    assert ra == pytest.approx(230.47896, abs=15 / 3600)
    assert dec == pytest.approx(4.97522, abs=15 / 3600)


def test_a_second_time_does_nothing(demo: tuple[Path, Finished], first: dict) -> None:
    again = contimg("demo", "--dir", demo[0])
    assert again.code == 0
    assert result_of(demo[0])["stages_run"] == 0
    assert result_of(demo[0])["figures"] == first["figures"]


def test_without_databases_and_queue_it_still_does_nothing(demo: tuple[Path, Finished], first: dict) -> None:
    state = demo[0] / "data" / "state"
    gone = [*state.glob("*.sqlite3*")]
    assert len(gone) >= 4
    for path in gone:
        path.unlink()
    shutil.rmtree(state / "nats")
    assert contimg("demo", "--dir", demo[0]).code == 0
    assert result_of(demo[0])["stages_run"] == 0
    assert {p["sha256"] for p in result_of(demo[0])["products"]} == {p["sha256"] for p in first["products"]}


def test_what_a_user_asks(demo: tuple[Path, Finished], first: dict) -> None:
    bases = ("--stage-base", demo[0] / "stage", "--data-base", demo[0] / "data")
    groups = contimg("get", "groups", *bases, "--json").json
    assert [(row["group"], row["phase"]) for row in groups] == [("ngc5921", "Published")]
    assert len(contimg("get", "observations", *bases, "--json").json) == 7
    attempts = contimg("get", "attempts", *bases, "--json").json
    assert {row["state"] for row in attempts} == {"committed"}
    assert "published" in contimg("why", "ngc5921", *bases).out
    shown = contimg("show", "ngc5921", *bases).out
    assert "Succeeded=True" in shown
    mosaic = next(p["path"] for p in first["products"] if p["path"].endswith("coadd.fits"))
    trace = contimg("trace", mosaic, *bases, "--json").json
    assert {step["stage"] for step in trace["steps"]} == {"convert", "group", "solve", "apply", "image", "mosaic"}
    assert trace["raw"][0].split("#")[0].endswith("NGC5921.fits")
    attempt = next(row["attempt"] for row in attempts if row["stage"] == "solve")
    assert contimg("log", attempt, *bases).code == 0


def test_an_edited_image_parameter_runs_only_what_follows(demo: tuple[Path, Finished], first: dict) -> None:
    group = demo[0] / "ngc5921.yaml"
    before = group.read_text()
    group.write_text(before.replace("robust: 0.5", "robust: 0.0"))
    assert contimg("demo", "--dir", demo[0], timeout=300).code in {0, 1}
    edited = result_of(demo[0])
    assert edited["phase"] == "Published"
    assert edited["stages_run"] == 5, "2 image, mosaic, crossmatch, publish"
    archive = demo[0] / "data" / "products"
    old = {p["sha256"] for p in first["products"] if p["path"].endswith("coadd.fits")}
    kept = {disk.sha256_file(path) for path in archive.glob("**/superseded/**/*coadd.fits")}
    assert old <= kept, "the published older version is kept"
    group.write_text(before)
    assert contimg("demo", "--dir", demo[0], timeout=300).code == 0
    back = result_of(demo[0])
    assert back["stages_run"] == 0, "going back adopts the old runs"
    assert {p["sha256"] for p in back["products"]} == {p["sha256"] for p in first["products"]}


def test_the_casa_backend_agrees(demo: tuple[Path, Finished], first: dict, tmp_path: Path) -> None:
    text = (demo[0] / "ngc5921.yaml").read_text()
    casa = tmp_path / "casa.yaml"
    casa.write_text(
        text.replace("name: ngc5921", "name: ngc5921-casa")
        .replace("    image:\n", "    solve: {backend: casa}\n    image:\n      backend: tclean\n")
        .replace("include: [images]", "include: []")
    )
    bases = ("--stage-base", demo[0] / "stage", "--data-base", demo[0] / "data")
    run = contimg("run", casa, *bases, "--json", timeout=500)
    assert run.code == 0, run.err[-3000:]
    ours, theirs = first["figures"], run.json["figures"]
    for name in ("solve.flux.1445+099", "mosaic.peak"):
        assert theirs[name]["value"] == pytest.approx(ours[name]["value"], rel=0.02), name


def test_interrupted_and_started_again_it_goes_on(tmp_path: Path) -> None:
    """Ctrl-C while convert runs: nothing half-made has a name, the next start finishes."""
    directory = tmp_path / "demo"
    argv = ["env", "--default-signal=INT", CONTIMG, "demo", "--dir", str(directory), "--s3", "none"]
    process = subprocess.Popen(argv, env=clean_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    runs = directory / "stage" / "raw" / "ms" / ".runs"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (runs.is_dir() and len(list(runs.iterdir())) >= 2):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()[-2000:]
    done = len(list(runs.iterdir()))
    assert 2 <= done < 7
    finished = contimg("demo", "--dir", directory, "--s3", "none")
    assert finished.code == 0, finished.err[-2000:]
    assert result_of(directory)["stages_run"] == 16 - done
    assert not list((directory / "stage" / "workspace" / "active").glob("*/*"))
