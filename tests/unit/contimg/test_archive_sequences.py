"""Any order of recipes, with a death at any point of any try, ends as if nothing had happened."""

import os
import shutil
import tempfile
from pathlib import Path

from committed import commit
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import points

from contimg import archive as module
from contimg import crash
from contimg.archive import Archive
from contimg.models.plan import Plan, plan_item
from contimg.models.quality import Verdict
from contimg.volume.layout import Layout

NAME = "mosaics/2026-01-25/mosaic_g1_coadd.fits"
TABLE = "caltables/2026-01-25/g1_bpcal"
RECIPES = {letter: letter * 32 for letter in "abc"}
POINTS = sorted({point.partition("@")[0] for point in points(Path(module.__file__))})


class Died(BaseException):
    """Nothing in the product may catch this."""


class Death:
    """Ends the n-th passage of a point, like the signal of contimg.crash, but in this process."""

    def __init__(self, point, count):
        self.point, self.left = point, count

    def __call__(self, name):
        if name == self.point:
            self.left -= 1
            if self.left == 0:
                raise Died(name)


def publication(layout, letter):
    task, content = RECIPES[letter], f"made by {letter}".encode()
    runs = [
        commit(layout, "mosaic", task, "mosaic", {"": ("mosaic_g1_coadd.fits", content)}),
        commit(layout, "calibration_table", task, "solve", {"bpcal": ("g1_bpcal", {"t": content, "s/u": b"x"})}),
    ]
    items = tuple(
        plan_item(p, r.manifest.task, "g1", "2026-01-25", directory=(r.path / p.path).is_dir())
        for r in runs
        for p in r.manifest.products
    )
    plan = Plan(group="g1", date="2026-01-25", policy="always", publish=True, verdict=Verdict.PASS, items=items)
    run = commit(layout, "metadata", letter * 31 + "f", "publish", {"plan": ("plan_g1.json", b"{}")})
    return plan, run


def check(layout, current, published):
    archive = layout.archive
    wanted = {letter: f"made by {letter}".encode() for letter in published}
    assert (archive / NAME).read_bytes() == wanted[current]
    assert (archive / TABLE / "t").read_bytes() == wanted[current]
    for letter in published:
        task = RECIPES[letter]
        assert (archive / "mosaics/.runs" / task / "mosaic_g1_coadd.fits").read_bytes() == wanted[letter]
        aside = archive / "superseded" / task / NAME
        assert aside.exists() is (letter != current)
        if letter != current:
            assert aside.read_bytes() == wanted[letter]
            assert (archive / "superseded" / task / TABLE / "t").read_bytes() == wanted[letter]
    loose = [p for p in archive.rglob("*") if p.name.startswith(".") and p.name not in (".runs", ".locks")]
    assert loose == []


steps = st.lists(
    st.tuples(st.sampled_from(sorted(RECIPES)), st.sampled_from([None, *POINTS]), st.integers(1, 12)),
    min_size=1,
    max_size=6,
)


@settings(max_examples=30, deadline=None)
@given(steps)
def test_every_sequence_ends_whole(sequence):
    base = Path(tempfile.mkdtemp())
    real_point, real_fsync = crash.point, os.fsync
    os.fsync = lambda _handle: None  # power cuts are not what is tried here, and the disk is slow
    try:
        layout = Layout(base / "stage", base / "data")
        made = {letter: publication(layout, letter) for letter in RECIPES}
        published = set()
        for letter, point, count in sequence:
            crash.point = Death(point, count)
            try:
                Archive(layout).publish(*made[letter])
            except Died:
                crash.point = real_point
                Archive(layout).publish(*made[letter])
            published.add(letter)
            check(layout, letter, published)
    finally:
        crash.point, os.fsync = real_point, real_fsync
        shutil.rmtree(base)


def test_points_are_those_of_the_archive():
    assert {"link.before", "link.after", "rename.after", "remove.after", "sync.after"} <= set(POINTS)
