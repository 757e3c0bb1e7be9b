"""What a group says to stage publish."""

from __future__ import annotations

import pytest
from engine_world import START, group_of, observation

from contimg.models.decide import Problem
from contimg.models.group import PublishSpec
from contimg_publish.decide import decide
from contimg_publish.params import PublishOptions, PublishParams


def options(**publish):
    group = group_of(1, publish=PublishSpec(**publish))
    problem = Problem(group, PublishParams(), (observation(0),), (), expected=1, now=START)
    (choice,) = decide(problem).choices
    return choice.options


@pytest.mark.parametrize(
    "publish", [{}, {"policy": "always"}, {"include": ("ms", "images")}, {"policy": "manual", "approve": True}]
)
def test_the_stage_reads_what_the_group_said(publish):
    found = PublishOptions.model_validate(options(**publish)).publish
    said = PublishSpec(**publish)
    assert (found.policy, found.approve, set(found.include)) == (said.policy, said.approve, set(said.include))


def test_the_order_of_the_words_does_not_matter():
    assert options(include=("ms", "images")) == options(include=("images", "ms"))


def test_the_approval_matters_to_policy_manual_alone():
    assert options(approve=True) == options()
    assert options(policy="manual", approve=True) != options(policy="manual")
