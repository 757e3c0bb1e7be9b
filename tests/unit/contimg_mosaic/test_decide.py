"""What a group says to stage mosaic."""

from __future__ import annotations

from engine_world import START, group_of, observation

from contimg.models.decide import Problem
from contimg_mosaic.decide import decide
from contimg_mosaic.params import MosaicOptions, MosaicParams


def test_the_stage_learns_how_many_were_selected_not_how_many_survived():
    members = (observation(0), observation(1))
    problem = Problem(group_of(5), MosaicParams(), members, (), expected=5, now=START)
    answer = decide(problem)
    (choice,) = answer.choices
    assert MosaicOptions.model_validate(choice.options).expected == 5
    assert (choice.inputs, choice.key, answer.candidates, answer.block) == ({}, "", (), None)
