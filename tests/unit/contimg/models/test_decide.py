"""What a decision is given."""

from __future__ import annotations

import pytest
from engine_world import START, ImageParams, PlainParams, group_of, observation

from contimg.models.decide import Answer, Problem


def test_parameters_are_those_of_the_stage_or_the_mistake_is_named():
    problem = Problem(group_of(1), ImageParams(robust=1), (observation(0),), (), expected=1, now=START)
    assert problem.parameters(ImageParams).robust == 1
    with pytest.raises(TypeError, match="these are ImageParams, not PlainParams"):
        problem.parameters(PlainParams)


def test_an_answer_says_nothing_unless_it_does():
    assert (Answer().choices, Answer().block, Answer().candidates) == ((), None, ())
