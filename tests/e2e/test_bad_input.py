"""Bad input as a user meets it at the command line: one sentence, an exit code, and the other work goes on.

One observation is simulated once. Beside it lie files and recordings that are bad in every way a disk can offer; what
can be refused early is tried in directories of its own. Each server and program is the real one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import h5py
import numpy as np
import psutil
import pytest
import yaml
from commands import CONTIMG, Finished, clean_environment, contimg
from uvh5 import Recording, write_set

from contimg.servers.s3 import EmbeddedS3

pytestmark = pytest.mark.e2e

GOOD_STAGES = {
    "convert": {"min_antennas": 5},
    "group": {"min_size": 1},
    "solve": {"min_uv_wavelengths": 0},
    "image": {"cell_arcsec": 10, "size": 256},
    "crossmatch": {"enabled": False},
}
DARK = Recording(start="2026-01-25T19:00:00")
OTHER = Recording(start="2026-01-25T20:00:00")
TWICE = Recording(start="2026-01-25T21:00:00")
"""A recording in the small by another program; the ones below differ from it in one thing."""


def id_of(recording: Recording) -> str:
    """The UTC start of the first integration, to the nearest second; a recording names its centre."""
    start = datetime.fromisoformat(recording.start) - timedelta(seconds=recording.integration_s / 2)
    return f"{start + timedelta(seconds=0.5):%Y-%m-%dT%H:%M:%S}"


def write_group(path: Path, observations: dict, **spec) -> Path:
    spec = {"pipeline": "dsa110-continuum", "observations": observations, "stages": GOOD_STAGES} | spec
    path.write_text(yaml.safe_dump({"kind": "ObservationGroup", "metadata": {"name": path.stem}, "spec": spec}))
    return path


def sentence(done: Finished) -> str:
    """The one sentence an error of ours ends a command with."""
    lines = [line for line in done.err.splitlines() if line.startswith("contimg: ")]
    assert len(lines) == 1, done.err
    assert "Traceback" not in done.err
    return lines[0]


def bases(directory: Path, incoming: Path | None = None) -> list[object]:
    words = ["--stage-base", directory / "s", "--data-base", directory / "d"]
    return words if incoming is None else [*words, "--incoming", incoming]


def spoil(good: Path, to: Path) -> dict[str, Path]:
    """Files that are bad each in its own way, under names an hour after the good ones."""
    to.mkdir(exist_ok=True)
    content = good.read_bytes()

    def name(minute: int) -> Path:
        return to / f"2026-01-25T18:{minute:02d}:00_sb00.hdf5"

    made = {kind: name(minute) for minute, kind in enumerate(("empty", "truncated", "not HDF5", "shape", "NaN times"))}
    made["empty"].write_bytes(b"")
    made["truncated"].write_bytes(content[: len(content) // 3])
    made["not HDF5"].write_text("<html>404 not found</html>\n")
    shutil.copy(good, made["shape"])
    with h5py.File(made["shape"], "a") as file:
        vis = file["Data/visdata"][:-1]
        del file["Data/visdata"]
        file["Data/visdata"] = vis
    shutil.copy(good, made["NaN times"])
    with h5py.File(made["NaN times"], "a") as file:
        file["Header/time_array"][...] = np.nan
    made["missing"] = to / "2026-01-25T18:30:00_sb00.hdf5"
    made["missing"].symlink_to("nowhere.hdf5")
    made["loop"] = to / "2026-01-25T18:40:00_sb00.hdf5"
    made["loop"].symlink_to(made["loop"].name)
    return made


@pytest.fixture(scope="module")
def sky(tmp_path_factory) -> Path:
    """One good observation, and beside it everything that is bad."""
    where = tmp_path_factory.mktemp("sky") / "incoming"
    done = contimg("simulate", "dsa110", where, "--preset", "tiny")
    assert done.code == 0, done.err
    spoil(min(where.glob("*_sb00.hdf5")), where / "bad")
    write_set(where / "gap", replace(OTHER, subbands=tuple(n for n in range(16) if n != 7)))
    write_set(where / "twice", TWICE)
    write_set(where / "again", replace(TWICE, subbands=(3,), seed=5))
    dark = write_set(where / "dark", DARK)
    for path in dark:
        with h5py.File(path, "a") as file:
            file["Data/visdata"][...] = np.nan
    return where


@pytest.fixture(scope="module")
def tiny(sky: Path) -> str:
    (found,) = json.loads((sky / "truth.json").read_text())["observations"]
    return found["id"]


@pytest.fixture(scope="module")
def site(sky: Path, tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("site")


@pytest.fixture(scope="module")
def first(site: Path, sky: Path, tiny: str) -> Finished:
    """The good observation is processed while all the bad lies beside it, and the first child is killed at work."""
    group = write_group(site / "good.yaml", {"members": [tiny]})
    argv = [CONTIMG, "run", group, *bases(site, sky), "--json"]
    process = subprocess.Popen(
        list(map(str, argv)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment()
    )
    try:
        kill_child_at_work(process.pid, site / "s" / "workspace" / "active" / "conversion")
        out, err = process.communicate(timeout=500)
    finally:
        if process.poll() is None:
            process.terminate()
            process.communicate(timeout=60)
    return Finished(process.returncode, out, err)


def is_child_of_convert(words: list[str]) -> bool:
    return "contimg.worker.child" in words and any('"stage":"convert"' in word.replace(" ", "") for word in words)


def kill_child_at_work(pid: int, workspace: Path) -> None:
    """Send SIGKILL to the children of stage convert once one writes: what the kernel does when memory runs out."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        with contextlib.suppress(psutil.Error):
            children = psutil.Process(pid).children(recursive=True)
            at_work = [c for c in children if is_child_of_convert(c.cmdline())]
            if at_work and any(workspace.rglob("*.ms")):
                for child in at_work:  # one has the recording in hand, another may be waiting for work
                    child.kill()
                return
        time.sleep(0.02)
    raise AssertionError("no child of stage convert was seen at work")


def test_good_data_are_published_though_bad_lie_beside_and_a_child_was_killed(first: Finished) -> None:
    assert first.code == 0, first.err[-3000:]
    assert first.json["phase"] == "Published"
    assert first.json["stages_run"] == 8, "7 stages, convert twice"
    assert all(Path(product["path"]).exists() for product in first.json["products"])


def test_the_killed_child_is_on_record_and_cost_no_try(first: Finished, site: Path) -> None:
    rows = contimg("get", "attempts", *bases(site), "--json").json
    lost = [row for row in rows if row["state"] != "committed"]
    assert [(row["stage"], row["error"]) for row in lost] == [("convert", "WorkerLost")]
    assert "SIGKILL, by somebody else" in lost[0]["message"], "the kernel did not count it as out of memory"
    assert not list((site / "s" / "workspace" / "active").glob("*/*"))


def test_every_bad_file_is_named_with_its_reason(first: Finished, site: Path, sky: Path) -> None:
    assert first.code == 0
    rows = contimg("get", "quarantine", *bases(site), "--json").json
    told = " ".join(row["sentence"] for row in rows)
    log = (site / "d" / "state" / "logs" / "run.log").read_text()
    for path in (sky / "bad").glob("*"):
        assert str(path) in (log if path.is_symlink() else told), f"{path.name} is not told"
    assert len(list((sky / "bad").glob("*"))) == 7, "nothing in incoming/ was touched"


def test_recordings_that_cannot_be_used_say_why(first: Finished, site: Path, tiny: str) -> None:
    assert first.code == 0
    rows = {row["id"]: row for row in contimg("get", "observations", *bases(site), "--json").json}
    assert rows[tiny]["state"] == "sealed"
    assert rows[id_of(OTHER)]["state"] == "incomplete"
    assert "sb07" in str(rows[id_of(OTHER)]["reasons"])
    assert rows[id_of(TWICE)]["state"] == "incomplete"
    assert "sb03" in str(rows[id_of(TWICE)]["reasons"])


def test_a_group_of_one_good_and_one_dark_member_says_which(first: Finished, site: Path, sky: Path, tiny: str) -> None:
    """NaN visibilities: convert flags all of it; the other member is published, the status names the dark one."""
    assert first.code == 0
    dark = id_of(DARK)
    group = write_group(site / "pair.yaml", {"members": [dark, tiny]}, minMembers=1)
    done = contimg("run", group, *bases(site, sky), "--json", timeout=300)
    assert dark in done.json["message"] or done.json["phase"] == "Published", done.json["message"]
    status = yaml.safe_load((site / "pair.status.yaml").read_text())["status"]
    told = json.dumps(status)
    assert dark in told
    assert {p["path"] for p in first.json["products"] if not Path(p["path"]).exists()} == set()


def test_a_missing_subband_leaves_the_group_waiting_with_the_reason(first: Finished, site: Path, sky: Path) -> None:
    assert first.code == 0
    group = write_group(site / "gap.yaml", {"members": [id_of(OTHER)]})
    done = contimg("run", group, *bases(site, sky), "--json")
    assert done.code not in {0, 2}
    assert id_of(OTHER) in done.json["message"]
    assert done.json["stages_run"] == 0
    assert id_of(OTHER) in contimg("why", "gap", *bases(site)).out


def test_while_a_subband_may_still_come_the_group_waits(tmp_path: Path) -> None:
    """With --watch the deadline counts: before it the set is unsealed and the status says what is missing."""
    write_set(tmp_path / "incoming", Recording(subbands=tuple(range(15))))
    group = write_group(tmp_path / "late.yaml", {"start": "2026-01-25T22:00:00Z", "count": 1})
    words = ["run", group, *bases(tmp_path, tmp_path / "incoming"), "--watch", "--json"]
    shown = interrupted(words, tmp_path / "late.status.yaml", "15 of 16")
    assert shown["phase"] == "Waiting"
    assert not list((tmp_path / "d" / "state" / "observations").rglob("*.json")), "nothing is final yet"


def interrupted(words: list[object], status: Path, word: str) -> dict:
    """Run until the status holds a word, then press Ctrl-C; return the status."""
    process = subprocess.Popen(
        ["env", "--default-signal=INT", CONTIMG, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and process.poll() is None:
            if status.is_file() and word in status.read_text():
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
    finally:
        if process.poll() is None:
            process.kill()
    shown = status.read_text() if status.is_file() else ""
    assert word in shown, f"{shown}\n{err.decode()[-2000:]}"
    assert process.returncode == 130, err.decode()[-2000:]
    return yaml.safe_load(shown)["status"]


MISTAKES = {
    "pipeline: dsa110-continuum": ("pipeline: dsa110-continum", "did you mean 'dsa110-continuum'"),
    "cell_arcsec: 10": ("cell_arcsecs: 10", "has no parameter 'cell_arcsecs'; did you mean 'cell_arcsec'"),
    "size: 256": ("size: 256 px", "parameter 'size' = '256 px'"),
    "convert:": ("converter:", "no stage 'converter' with parameters; did you mean 'convert'"),
}


@pytest.mark.parametrize("right", MISTAKES)
def test_a_mistake_in_yaml_ends_at_once_with_its_line(right: str, tmp_path: Path) -> None:
    wrong, words = MISTAKES[right]
    path = write_group(tmp_path / "g.yaml", {"members": ["2026-01-25T22:26:00"]})
    path.write_text(path.read_text().replace(right, wrong))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if wrong in text)
    done = contimg("run", path, *bases(tmp_path))
    assert done.code == 78
    assert f"{path}:{line}: " in sentence(done)
    assert words in sentence(done)
    assert not (tmp_path / "s").exists(), "nothing was begun"


def _file(path: Path) -> None:
    path.write_text("in the way\n")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _database(path: Path) -> None:
    (path / "state" / "products.sqlite3").mkdir(parents=True)


def _not_a_database(path: Path) -> None:
    (path / "state").mkdir(parents=True)
    (path / "state" / "products.sqlite3").write_text("this is no database\n" * 100)


@pytest.mark.parametrize(
    ("make", "name", "words"),
    [
        (_file, "s", "(CONTIMG_STAGE_BASE) cannot be written"),
        (_loop, "s", "(CONTIMG_STAGE_BASE) cannot be written"),
        (_file, "d", "cannot be written"),
        (_loop, "d", "cannot be written"),
        (_database, "d", "products.sqlite3"),
        (_not_a_database, "d", "products.sqlite3"),
        (_file, "incoming", "does not exist; put the raw files there"),
        (_loop, "incoming", "does not exist; put the raw files there"),
    ],
    ids=[
        "stage-is-a-file", "stage-is-a-loop", "data-is-a-file", "data-is-a-loop", "database-is-a-directory",
        "database-is-a-text", "incoming-is-a-file", "incoming-is-a-loop",
    ],
)  # fmt: skip
def test_a_directory_that_cannot_be_used(make, name: str, words: str, tmp_path: Path) -> None:
    if name != "incoming":
        (tmp_path / "incoming").mkdir()
    make(tmp_path / name)
    path = write_group(tmp_path / "g.yaml", {"members": ["2026-01-25T22:26:00"]})
    done = contimg("run", path, *bases(tmp_path, tmp_path / "incoming"))
    assert done.code == 78, done.err
    assert words in sentence(done)
    assert str(tmp_path / name) in sentence(done)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 1 MiB, as a volume that is too small."""
    where = tmp_path / "small"
    where.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", where], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.strip()}")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_state_disk_is_told_before_anything_begins(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * (1 << 20))
    (tmp_path / "incoming").mkdir()
    path = write_group(tmp_path / "g.yaml", {"members": ["2026-01-25T22:26:00"]})
    done = contimg(
        "run",
        path,
        "--stage-base",
        tmp_path / "s",
        "--data-base",
        small_disk / "d",
        "--incoming",
        tmp_path / "incoming",
    )
    assert done.code == 75, done.err
    assert str(small_disk) in sentence(done)
    assert "No space left on device" in sentence(done)


def test_a_full_staging_disk_makes_the_stage_wait(small_disk: Path, tmp_path: Path, sky: Path, tiny: str) -> None:
    """Nothing begins that cannot end; the log says how many bytes are missing, Ctrl-C leaves no half-made thing."""
    path = write_group(tmp_path / "g.yaml", {"members": [tiny]})
    words = ["run", path, "--stage-base", small_disk, "--data-base", tmp_path / "d", "--incoming", sky, "--json"]
    process = subprocess.Popen(
        ["env", "--default-signal=INT", CONTIMG, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=clean_environment(),
    )
    log = tmp_path / "d" / "state" / "logs" / "run.log"
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and not (log.is_file() and "space" in log.read_text()):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=90)
    assert "space" in log.read_text(), err.decode()
    assert process.returncode == 130, err.decode()
    assert not list(small_disk.glob("raw/ms/.runs/*"))
    assert not list(small_disk.glob("workspace/active/*/*"))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with EmbeddedS3(tmp_path_factory.mktemp("s3")) as server:
        yield server.target


def test_a_wrong_key_is_told_and_the_disk_copy_stands(first: Finished, site: Path, sky: Path, tiny: str, store) -> None:
    assert first.code == 0
    group = write_group(site / "good.yaml", {"members": [tiny]}, publish={"include": ["images"]})
    url = f"http://{store.endpoint}/{store.bucket}"
    keys = {"CONTIMG_S3_ACCESS_KEY": store.access_key, "CONTIMG_S3_SECRET_KEY": "wrong"}
    done = contimg("run", group, *bases(site, sky), "--s3", url, "--json", timeout=300, **keys)
    assert done.code != 0
    told = done.err + done.out
    assert store.endpoint in told
    assert "key" in told.lower()
    assert all(Path(product["path"]).exists() for product in first.json["products"]), "nothing published was lost"
    keys["CONTIMG_S3_SECRET_KEY"] = store.secret_key
    group.write_text(group.read_text().replace("  stages:", "  replay: 1\n  stages:"))
    done = contimg("run", group, *bases(site, sky), "--s3", url, "--json", timeout=300, **keys)
    assert done.code == 0, done.err[-2000:]
    assert all(product["s3"] for product in done.json["products"])


@pytest.mark.parametrize("url", ["ftp://host/bucket", "http://host", "host/bucket", "embeded"])
def test_a_store_that_is_no_url_with_a_bucket(url: str, tmp_path: Path, sky: Path, tiny: str) -> None:
    path = write_group(tmp_path / "g.yaml", {"members": [tiny]})
    keys = {"CONTIMG_S3_ACCESS_KEY": "a", "CONTIMG_S3_SECRET_KEY": "b"}
    done = contimg("run", path, *bases(tmp_path, sky), "--s3", url, **keys)
    assert done.code == 78, done.err[-1000:]
    assert url in sentence(done)


def test_doctor_names_casa_data_that_are_not_there(tmp_path: Path) -> None:
    """A package of the right name without the tables, before the true one on the path."""
    hollow = tmp_path / "path" / "casadata"
    hollow.mkdir(parents=True)
    (hollow / "__init__.py").write_text("")
    env = {"PYTHONPATH": str(hollow.parent), "CONTIMG_STAGE_BASE": str(tmp_path / "s")}
    done = contimg("doctor", CONTIMG_DATA_BASE=str(tmp_path / "d"), **env)
    assert done.code == 1
    missing = [line for line in done.out.splitlines() if line.startswith("MISSING")]
    assert len(missing) == 1, done.out
    assert missing[0].startswith(f"MISSING casadata: casadata lacks the table {hollow}")
    assert "install package 'casadata' anew" in missing[0]


def test_two_runs_on_one_state_directory(tmp_path: Path) -> None:
    """The second is told who is there; it disturbs nothing."""
    write_set(tmp_path / "incoming", Recording(subbands=(0,)))
    path = write_group(tmp_path / "g.yaml", {"members": ["2026-01-25T22:26:00"]})
    words = ["run", path, *bases(tmp_path, tmp_path / "incoming"), "--watch", "--json"]
    process = subprocess.Popen(
        ["env", "--default-signal=INT", CONTIMG, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=clean_environment(),
    )
    try:
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline and not (tmp_path / "g.status.yaml").is_file():
            time.sleep(0.1)
        second = contimg(*words)
        assert second.code == 69
        assert f"pid {process.pid}" in sentence(second)
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=90)
    assert process.returncode == 130
