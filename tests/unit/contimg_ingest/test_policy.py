"""The rules of a file set: defaults, bounds, and the exception that carries the word of a quarantine record."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from contimg.errors import BadInput, Terminal
from contimg.models.survey import FileSetRules
from contimg_ingest.policy import IngestPolicy, Reason, Refused


def test_defaults_are_those_of_the_instrument_and_of_a_survey():
    policy, rules = IngestPolicy(), FileSetRules()
    assert (policy.expect, policy.min, policy.deadline_s) == (16, 16, 900.0)
    assert (policy.expect, policy.min, policy.deadline_s) == (rules.expect, rules.min, rules.deadline_s)
    assert policy.name_tolerance_s > 82, "names of true sets differ by up to 82 s"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("expect", 0),
        ("min", 0),
        ("deadline_s", -0.1),
        ("settle_s", -1),
        ("name_tolerance_s", -1),
        ("dec_tolerance_deg", 0),
        ("scan_gap_s", 0),
    ],
)
def test_a_value_outside_its_bounds_is_refused_and_named(field, value):
    with pytest.raises(ValidationError, match=field):
        IngestPolicy(**{field: value})


@pytest.mark.parametrize(("field", "value"), [("deadline_s", 0), ("settle_s", 0), ("name_tolerance_s", 0), ("min", 1)])
def test_a_bound_itself_is_allowed(field, value):
    assert getattr(IngestPolicy(**{field: value}), field) == value


def test_the_policy_is_closed_and_frozen():
    with pytest.raises(ValidationError, match="Extra inputs"):
        IngestPolicy(settle=3)
    with pytest.raises(ValidationError, match="frozen"):
        IngestPolicy().min = 3


def test_every_rule_says_what_it_means():
    assert all(field.description for field in IngestPolicy.model_fields.values())


@pytest.mark.parametrize("reason", list(Reason))
def test_a_refused_file_is_bad_input_that_nobody_tries_again(reason):
    error = Refused(reason, "x is bad; remove it")
    assert isinstance(error, BadInput)
    assert isinstance(error, Terminal)
    assert not error.retryable
    assert (error.reason, str(error)) == (reason, "x is bad; remove it")
    assert reason.value == reason.name.lower().replace("_", "-"), "the word on record is stable"
