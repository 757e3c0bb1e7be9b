"""Limits and verdicts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contimg.models.quality import Verdict, judge, worst

LIMITS = {"degraded_below": 100.0, "failed_below": 30.0}


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(150, "pass"), (100, "pass"), (99.999, "degraded"), (30, "degraded"), (29.999, "failed"), (-1, "failed")],
)
def test_a_limit_itself_still_passes(value, verdict):
    assert judge("image.dynamic_range", value, **LIMITS).verdict == verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(0.92, "pass"), (0.91, "degraded"), (1.09, "degraded"), (0.79, "failed"), (1.3, "failed")]
)
def test_two_sided_limits(value, verdict):
    figure = judge(
        "crossmatch.ratio", value, degraded_below=0.92, degraded_above=1.08, failed_below=0.8, failed_above=1.2
    )
    assert figure.verdict == verdict
    assert figure.limit == "degraded < 0.92, degraded > 1.08, failed < 0.8, failed > 1.2"


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf])
def test_what_was_not_measured_does_not_pass(value):
    figure = judge("image.rms", value, "Jy/beam", failed_above=1.0)
    assert (figure.verdict, figure.value, figure.unit) == (Verdict.DEGRADED, None, "Jy/beam")
    assert judge("image.rms", value).verdict is Verdict.PASS


def test_without_limits_everything_passes_and_says_no_limit():
    figure = judge("image.peak", 1e9, "Jy/beam")
    assert (figure.verdict, figure.limit) == (Verdict.PASS, "")


def test_a_limit_of_zero_is_a_limit():
    assert judge("x", -0.1, failed_below=0.0).verdict is Verdict.FAILED
    assert judge("x", 0.1, failed_above=0.0).limit == "failed > 0"


@given(st.lists(st.sampled_from(list(Verdict))))
def test_worst_is_the_worst_and_pass_for_none(verdicts):
    found = worst(verdicts)
    for verdict in (Verdict.FAILED, Verdict.DEGRADED):
        if verdict in verdicts:
            assert found is verdict
            return
    assert found is Verdict.PASS


@given(st.floats(-1e6, 1e6), st.floats(-10, 10), st.floats(0, 5))
def test_a_worse_value_never_has_a_better_verdict(value, limit, step):
    order = list(Verdict)
    limits = {"degraded_above": limit, "failed_above": limit + step}
    here, further = judge("x", value, **limits), judge("x", value + abs(value) + 1, **limits)
    assert order.index(further.verdict) >= order.index(here.verdict)
