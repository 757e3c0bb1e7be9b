"""Whether and what to publish, away from the stage: the whole table of policies, names, wishes."""

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skies import manifest

from contimg.errors import BadInput
from contimg.models.group import Policy
from contimg.models.manifest import Product
from contimg.models.plan import Plan
from contimg.models.quality import Verdict, judge
from contimg.models.spec import data_types
from contimg.stage import Run
from contimg_publish.policy import items
from contimg_publish.stage import _failing

INCLUDE = {row.include: name for name, row in data_types().items() if row.include}
FEW = settings(max_examples=25, deadline=None)
TABLE = {  # policy, approved: the verdicts that are published
    ("always", False): {"pass", "degraded", "failed"},
    ("always", True): {"pass", "degraded", "failed"},
    ("unless-failed", False): {"pass", "degraded"},
    ("unless-failed", True): {"pass", "degraded"},
    ("on-qa-pass", False): {"pass"},
    ("on-qa-pass", True): {"pass"},
    ("manual", False): set(),
    ("manual", True): {"pass", "degraded", "failed"},
}


def test_table_of_policies_is_complete():
    assert set(TABLE) == set(product([policy.value for policy in Policy], [False, True]))


def run_of(tmp_path, task, *products):
    made = [
        Product(type=kind, id=path, path=path, names=(f"d/{path}",) if named else ()) for kind, path, named in products
    ]
    return Run(tmp_path, manifest(task, "stage", made))


def everything(tmp_path):
    return [run_of(tmp_path, f"{k:032x}", (kind, f"{kind}.x", True)) for k, kind in enumerate(data_types())]


@given(st.sets(st.sampled_from(sorted(INCLUDE))))
@FEW
def test_published_is_what_must_be_and_what_was_asked_for(tmp_path_factory, include):
    found = items(everything(tmp_path_factory.getbasetemp()), "g1", "d", tuple(include))
    must = {name for name, row in data_types().items() if row.archive and not row.include}
    assert {item.type for item in found} == must | {INCLUDE[word] for word in include}


def test_words_of_a_wish_are_those_of_the_optional_types():
    continuum = {"images": "image", "ms": "calibrated_ms", "caltables": "calibration_table"}
    assert continuum | {"level2": "level2"} == INCLUDE
    assert all(data_types()[name].archive for name in INCLUDE.values())


def test_products_of_one_name_are_refused_with_both_tasks(tmp_path):
    runs = [run_of(tmp_path, letter * 32, ("mosaic", "m.fits", True)) for letter in "ab"]
    with pytest.raises(BadInput) as caught:
        items(runs, "g1", "d", ())
    for words in ("a" * 32, "b" * 32, "m.fits", "would both be d/m.fits"):
        assert words in str(caught.value)


def test_same_name_in_other_types_or_the_same_product_twice_is_no_clash(tmp_path):
    one = run_of(tmp_path, "a" * 32, ("mosaic", "same.fits", True))
    other = run_of(tmp_path, "b" * 32, ("catalog", "same.fits", True))
    found = items([one, one, other], "g1", "d", ())
    assert [(item.type, item.name) for item in found] == [("mosaic", "d/same.fits"), ("catalog", "d/same.fits")]


@given(st.lists(st.sampled_from(["m1", "m2", "m3", "m4"]), unique=True, min_size=1))
@FEW
def test_names_and_keys_of_a_plan_are_unique(tmp_path_factory, paths):
    base = tmp_path_factory.getbasetemp()
    runs = [run_of(base, f"{k:032x}", ("mosaic", path, True), ("image", path, False)) for k, path in enumerate(paths)]
    found = items(runs, "g1", "d", ("images",))
    assert len(found) == 2 * len(paths)
    assert len({(item.type, item.name) for item in found}) == len(found)
    assert len({item.key for item in found}) == len(found)


def test_images_lie_below_their_group_and_mosaics_do_not(tmp_path):
    runs = [run_of(tmp_path, "a" * 32, ("image", "t.fits", True), ("mosaic", "m.fits", False))]
    assert [item.name for item in items(runs, "g7", "2026-01-25", ("images",))] == [
        "2026-01-25/g7/t.fits",
        "2026-01-25/m.fits",
    ]


def test_directory_becomes_one_tar(tmp_path):
    (tmp_path / "m.image").mkdir()
    (item,) = items([run_of(tmp_path, "a" * 32, ("mosaic", "m.image", True))], "g1", "d", ())
    assert item.directory
    assert item.key.endswith("/m.image.tar")


def test_plan_survives_being_written(tmp_path):
    found = tuple(items(everything(tmp_path), "g1", "d", tuple(INCLUDE)))
    plan = Plan(group="g1", date="d", policy="always", publish=True, verdict=Verdict.PASS, items=found)
    assert Plan.model_validate(json.loads(plan.model_dump_json())) == plan


def graded(unit, *figures, verdict):
    return manifest("a" * 32, "image", [], unit=unit, figures=figures, verdict=verdict)


def test_cause_is_the_figures_of_the_worst_verdict_alone():
    poor = judge("image.a", 1.23456, degraded_below=2)
    bad = judge("image.b", 3.0, failed_below=4)
    manifests = [graded("t1", poor, verdict=Verdict.DEGRADED), graded("t2", bad, verdict=Verdict.FAILED)]
    assert _failing(manifests, Verdict.FAILED) == ["image.b 3 of t2"]
    assert _failing(manifests[:1], Verdict.DEGRADED) == ["image.a 1.235 of t1"]
    assert _failing(manifests, Verdict.PASS) == []


def test_cause_may_be_a_figure_that_is_missing_or_a_stage_without_figures():
    missing = judge("image.a", None, degraded_below=2)
    assert _failing([graded("t1", missing, verdict=Verdict.DEGRADED)], Verdict.DEGRADED) == ["image.a missing of t1"]
    assert _failing([graded("t1", verdict=Verdict.FAILED)], Verdict.FAILED) == ["image of t1"]
