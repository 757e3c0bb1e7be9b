"""Bounds of a recording: what no telescope recorded is refused before anybody computes with it."""

from __future__ import annotations

import pytest
from engine_world import START, observation
from pydantic import ValidationError

from contimg.models.observation import ObservationRecord


def changed(**fields):
    return ObservationRecord.model_validate(observation(0).model_dump() | fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"start": "1858-11-17T00:00:00Z"},
        {"end": "9999-12-31T23:59:59Z"},
        {"start": 1e300},
        {"integration_s": float("nan")},
        {"integration_s": float("inf")},
        {"integration_s": 0},
        {"integration_s": 1e9},
        {"integrations": -1},
        {"integrations": 10**12},
        {"dec_deg": 91},
        {"ra_deg": float("nan")},
        {"end": START.replace(year=2025)},
        {"end": START.replace(month=3)},
        {"bytes": -1},
        {"id": "../../etc/passwd"},
        {"id": ""},
        {"instrument": "A B"},
    ],
)
def test_impossible_recordings_are_refused(fields):
    with pytest.raises(ValidationError):
        changed(**fields)


@pytest.mark.parametrize("name", ["7345", "2026-01-25T22:26:00", "comap-0007345", "a" * 64])
def test_ids_are_opaque_words(name):
    assert changed(id=name).date == "2026-01-25"
