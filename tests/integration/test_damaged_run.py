"""A committed run that is needed again turns out to be damaged: it is kept aside, made again, and the group goes on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from commands import Finished, contimg

pytestmark = pytest.mark.integration

SOURCE = Path(__file__).parents[1] / "support" / "toy_instrument"
START = datetime(2026, 1, 25, 22, 0, 0, tzinfo=UTC)
GARBAGE = "{garbage"


def _garbage(run: Path) -> None:
    (run / "manifest.json").write_text(GARBAGE)


def _no_manifest(run: Path) -> None:
    (run / "manifest.json").unlink()


def _truncated(run: Path) -> None:
    (product,) = run.glob("toy_*.json")
    product.write_bytes(product.read_bytes()[:1])


def _missing(run: Path) -> None:
    (product,) = run.glob("toy_*.json")
    product.unlink()


@dataclass(frozen=True)
class Case:
    """What happens to one run of a group, in between two runs of the program."""

    stage: str
    damage: Callable[[Path], None]


CASES = {
    "garbage": Case("tidy", _garbage),
    "nothing": Case("weigh", _no_manifest),
    "short": Case("weigh", _truncated),
    "gone": Case("tidy", _missing),
}
"""By the name of the group that meets it."""


class Site:
    """An installed toy instrument, its files, and groups of two recordings each, the first one of the standard."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.incoming = base / "incoming"
        self.incoming.mkdir()
        self.installed = base / "site"
        shutil.copytree(SOURCE, base / "source")
        words = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", self.installed]
        subprocess.run([sys.executable, "-m", "pip", "install", *map(str, words), str(base / "source")], check=True)

    def record(self, number: int, counts: list[int], source: str) -> str:
        """Write one raw file as the toy's telescope does."""
        header = {"number": number, "seconds": 60, "source": source}
        header["start"] = (START + timedelta(minutes=number % 1000)).isoformat()
        lines = ["TOYSCOPE", json.dumps(header), json.dumps(counts), ""]
        (self.incoming / f"counts-{number}.toy").write_text("\n".join(lines))
        return str(number)

    def group(self, name: str, parts: int) -> Path:
        """Write the YAML file of a group."""
        first = 7000 + 10 * list(CASES).index(name)
        members = [self.record(first, [5, 5], "standard"), self.record(first + 1, [1, 2, 3], "sky")]
        spec = {"pipeline": "toy-sums", "observations": {"members": members}, "stages": {"slice": {"parts": parts}}}
        path = self.base / f"{name}.yaml"
        path.write_text(json.dumps({"kind": "ObservationGroup", "metadata": {"name": name}, "spec": spec}))
        return path

    def run(self, *groups: Path) -> Finished:
        """Run groups to their end as a user does."""
        return contimg(
            "run", *groups, "--json", timeout=150,
            PYTHONPATH=str(self.installed),
            CONTIMG_STAGE_BASE=str(self.base / "stage"),
            CONTIMG_DATA_BASE=str(self.base / "data"),
            CONTIMG_INCOMING_DIR=str(self.incoming),
        )  # fmt: skip

    def runs(self, stage: str, group: str) -> list[Path]:
        """Return the directories of the committed runs of a stage for a group, in the order of their units."""
        found = {}
        for path in (self.base / "data" / "state" / "manifests").rglob("*.json"):
            manifest = json.loads(path.read_text())
            if (manifest["stage"], manifest["group"]) == (stage, group):
                (run,) = self.base.glob(f"*/**/.runs/{manifest['task']}")
                found[manifest["unit"], manifest["task"]] = run
        return [found[key] for key in sorted(found)]

    def total(self, name: str) -> float:
        """Return what is published for a group."""
        (path,) = (self.base / "data" / "products" / "toysums").glob(f"2026-01-25/toy_sum_{name}.json")
        return json.loads(path.read_text())


@dataclass(frozen=True)
class Story:
    """What was there before the damage, and how the second run ended."""

    site: Site
    hurt: dict[str, Path]
    before: dict[str, dict[str, bytes]]
    done: Finished


def content(run: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(run.glob("toy_*.json"))}


@pytest.fixture(scope="module")
def story(tmp_path_factory) -> Story:
    """Publish all groups, damage a run of each, edit a parameter of a later stage of each, run again."""
    site = Site(tmp_path_factory.mktemp("damaged"))
    first = site.run(*(site.group(name, parts=1) for name in CASES))
    assert first.code == 0, first.err[-3000:]
    hurt = {name: site.runs(case.stage, name)[-1] for name, case in CASES.items()}
    before = {name: content(run) for name, run in hurt.items()}
    for name, case in CASES.items():
        case.damage(hurt[name])
    return Story(site, hurt, before, site.run(*(site.group(name, parts=2) for name in CASES)))


def test_the_run_comes_to_its_end(story):
    """It used to wait for ever: the task counted as done, and its result could not be read."""
    assert story.done.code == 0, story.done.err[-3000:]


@pytest.mark.parametrize("name", CASES)
def test_the_group_is_published_again(story, name):
    status = json.loads((story.site.base / "data/state/resources" / f"{name}.status.json").read_text())
    assert status["phase"] == "Published", status["message"]
    assert story.site.total(name) == 2.0 * (10 + 6)
    assert len(story.site.runs("slice", name)) == 3, "one part of the old wish, two of the new"


@pytest.mark.parametrize("name", CASES)
def test_the_damaged_run_is_kept_aside_as_it_was(story, name):
    run = story.hurt[name]
    (aside,) = run.parent.glob(f"{run.name}.damaged-*")
    if name == "garbage":
        assert (aside / "manifest.json").read_text() == GARBAGE
    elif name == "short":
        assert {len(value) for value in content(aside).values()} == {1}
    elif name == "gone":
        assert content(aside) == {}
    else:
        assert not (aside / "manifest.json").exists()


@pytest.mark.parametrize("name", CASES)
def test_the_same_task_was_made_again_with_the_same_bytes(story, name):
    run = story.hurt[name]
    assert content(run) == story.before[name]
    assert json.loads((run / "manifest.json").read_text())["task"] == run.name


@pytest.mark.parametrize("name", CASES)
def test_what_was_sound_is_not_done_again(story, name):
    """Only the damaged task has a second attempt."""
    attempts = story.site.base / "data" / "state" / "attempts"
    tried = {run.name: len(list((attempts / run.name).glob("*.json"))) for run in _before_the_slices(story.site, name)}
    assert tried.pop(story.hurt[name].name) == 2
    assert set(tried.values()) == {1}


def _before_the_slices(site: Site, name: str) -> list[Path]:
    return [*site.runs("tidy", name), *site.runs("weigh", name)]
