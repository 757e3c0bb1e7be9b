"""Effective parameters of a group's stages, and the recipes that follow."""

from __future__ import annotations

import pytest
from engine_world import DSA, group_of, observation, toy_specs
from hypothesis import given
from hypothesis import strategies as st

from contimg.engine.plan import Wish, plan_stages, reference_for
from contimg.errors import BadConfig
from contimg.limits import ProtocolLimits
from contimg.models.group import PublishSpec
from contimg.models.identity import task_id
from contimg.models.spec import Scope

SPECS = toy_specs()


def plans(pipeline=DSA, specs=SPECS, **stages):
    return {plan.name: plan for plan in plan_stages(group_of(1, stages=stages), pipeline, specs, ProtocolLimits())}


def recipe(**changes):
    group = group_of(1)
    plan = plans(image=changes.pop("image", {}))["image"]
    given = {"inputs": {"calibrated_ms": ("a" * 32,)}, **changes}
    return Wish(group, "d").recipe(plan, "2026-01-25T22:00:13", "2026-01-25", **given)


def with_params(**params):
    return staged({name: {"params": given} for name, given in params.items()})


def staged(changes, keep=None):
    """Return the pipeline with other fields in its stages, and only some of these."""
    chosen = [item for item in DSA.stages if keep is None or item.stage in keep]
    stages = tuple(item.model_copy(update=changes.get(item.stage, {})) for item in chosen)
    return DSA.model_copy(update={"spec": DSA.spec.model_copy(update={"stages": stages})})


def test_the_watcher_and_disabled_optional_stages_have_no_plan():
    assert list(plans()) == ["convert", "group", "solve", "apply", "image", "mosaic", "publish"]
    assert "crossmatch" in plans(crossmatch={"enabled": True})
    assert "crossmatch" in plans(with_params(crossmatch={"enabled": True}))
    assert "crossmatch" not in plans(with_params(crossmatch={"enabled": True}), crossmatch={"enabled": False})


def test_group_goes_before_pipeline_goes_before_stage():
    pipeline = with_params(image={"robust": -1, "cell_arcsec": 6})
    assert plans(pipeline, image={"robust": 2})["image"].params == {"cell_arcsec": 6.0, "robust": 2.0}
    assert plans()["image"].params == {"cell_arcsec": 3.0, "robust": 0.0}


def test_only_what_differs_from_the_stage_s_own_default_is_kept():
    assert plans(image={"robust": 0, "cell_arcsec": 3})["image"].kept == "{}"
    assert plans(with_params(image={"robust": 1}), image={"robust": 0.0})["image"].kept == "{}"
    assert plans(image={"robust": 1})["image"].kept == '{"robust": 1.0}'


@pytest.mark.parametrize(
    ("stages", "sentence"),
    [
        (
            {"imag": {}},
            "spec.stages names 'imag', which pipeline 'dsa110-continuum' does not have; did you mean 'image'",
        ),
        ({"image": {"cell": 1}}, "stage 'image' has no parameter 'cell'"),
        ({"image": {"robust": "much"}}, "stage 'image', parameter 'robust' = 'much'"),
        ({"image": {"robust": {1, 2}}}, "spec.stages.image holds a value that is no plain JSON"),
    ],
)
def test_mistakes_are_told_with_the_field(stages, sentence):
    with pytest.raises(BadConfig, match=sentence.replace(".", r"\.")):
        plans(**stages)


def test_a_stage_that_is_not_installed_is_named():
    specs = {name: spec for name, spec in SPECS.items() if name != "mosaic"}
    with pytest.raises(BadConfig, match="stage 'mosaic' of pipeline 'dsa110-continuum' is not installed"):
        plans(specs=specs)


def test_a_pipeline_must_end_with_a_group_stage_and_members_cannot_read_partitions():
    with pytest.raises(BadConfig, match="must end with a stage of scope group"):
        plans(staged({}, keep=["convert"]))
    parted = SPECS | {"solve": SPECS["solve"].model_copy(update={"scope": Scope.PARTITION})}
    with pytest.raises(
        BadConfig, match="stage 'apply' has scope observation and cannot read the partitions of 'solve'"
    ):
        plans(specs=parted)


def test_what_can_be_included_is_what_the_stages_declare():
    group = group_of(1, publish=PublishSpec(include=("images", "caltables")))
    assert plan_stages(group, DSA, SPECS, ProtocolLimits())
    wrong = group_of(1, publish=PublishSpec(include=("image",)))
    with pytest.raises(BadConfig, match=r"names 'image'; did you mean 'images'.; known are caltables, images, ms"):
        plan_stages(wrong, DSA, SPECS, ProtocolLimits())


def test_time_limit_is_the_pipeline_s_where_it_has_one():
    found = plans(staged({"image": {"time_limit_s": 7.0}}))
    assert (found["image"].limits.time_s, found["mosaic"].limits.time_s) == (7.0, 3600.0)
    assert found["image"].limits.tries == 3


def test_the_id_is_the_digest_of_the_recipe_as_documented():
    record = observation(0)
    plan = plans(convert={"rfi": "aoflagger"})["convert"]
    found = Wish(group_of(1), "d").recipe(
        plan, record.id, "2026-01-25", {}, record=record, reads_raw=True, reference={"flags:2026-01-25": "f"}
    )
    inputs = {"raw": record.digest, "reference": {"flags:2026-01-25": "f"}}
    assert found.task == task_id("convert", 1, record.id, {"rfi": "aoflagger"}, inputs)


def test_everything_that_matters_changes_the_id_and_nothing_else():
    base = recipe()
    assert recipe(image={"robust": 0.0}).task == base.task
    changed = [
        recipe(image={"robust": 1}),
        recipe(inputs={"calibrated_ms": ("b" * 32,)}),
        recipe(options={"a": 1}),
        recipe(members=("x",)),
        recipe(calibrators=("x",)),
        recipe(reference={"catalog:x": "1"}),
    ]
    assert len({base.task, *(item.task for item in changed)}) == len(changed) + 1


def test_group_generation_and_replay_do_not_enter_the_id():
    plan = plans()["image"]
    tasks = []
    for replay in (0, 3):
        group = group_of(1, name=f"g{replay}", replay=replay)
        wish = Wish(group, group.spec.digest)
        tasks.append(wish.task(plan, wish.recipe(plan, "u", "2026-01-25", {})))
    assert tasks[0].task == tasks[1].task
    assert [task.round for task in tasks] == [0, 3]


def test_reference_data_by_kind():
    known = {"catalog:b": "2", "catalog:a": "1", "flags:2026-01-25": "3", "flags:2026-01-26": "4"}
    every = plans(crossmatch={"enabled": True})
    assert reference_for(every["convert"], known, ("2026-01-25",)) == {"flags:2026-01-25": "3"}
    assert list(reference_for(every["solve"], known, ())) == ["catalog:a", "catalog:b"]
    assert reference_for(every["image"], known, ("2026-01-25",)) == {}


@given(st.floats(-2, 2), st.floats(1, 50))
def test_written_numbers_give_the_same_id_whatever_their_type(robust, cell):
    as_text = {"robust": float(f"{robust:.12g}"), "cell_arcsec": float(f"{cell:.12g}")}
    assert recipe(image={"robust": robust, "cell_arcsec": cell}).task == recipe(image=as_text).task
