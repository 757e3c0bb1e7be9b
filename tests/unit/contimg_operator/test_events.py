"""Which changes of a status are worth an Event."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from contimg.models.group import Condition, GroupStatus
from contimg.models.reason import Phase
from contimg.models.survey import SurveyStatus
from contimg_operator.events import notable


def status(type_: str, state: str, reason: str) -> GroupStatus:
    at = datetime(2026, 1, 26, tzinfo=UTC)
    condition = Condition(
        type=type_, status=state, reason=reason, message="", observed_generation=1, last_transition_time=at
    )
    return GroupStatus(observed_generation=1, phase=Phase.RUNNING, conditions=(condition,))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (None, ("Succeeded", "True", "Published"), True),
        (("Succeeded", "True", "Published"), ("Succeeded", "True", "Published"), False),
        (("Succeeded", "Unknown", "InProgress"), ("Succeeded", "False", "StageFailed"), True),
        (("Stalled", "True", "BadConfig"), ("Stalled", "True", "NoCalibration"), True),
        (("Stalled", "True", "BadConfig"), ("Stalled", "False", "NotStalled"), False),
        (None, ("Degraded", "True", "Quality"), True),
        (None, ("Progressing", "True", "Waiting"), False),
        (None, ("Progressing", "Unknown", "BusAway"), False),
    ],
)
def test_what_ends_stalls_or_degrades_is_told_once(old, new, told):
    before = status(*old) if old is not None else None
    assert [item.type for item in notable(before, status(*new))] == ([new[0]] if told else [])


def test_a_survey_has_none():
    assert list(notable(None, SurveyStatus(observed_generation=1, phase=Phase.RUNNING))) == []
