"""Frozen spec digests and task ids: what was published under them must be found again by every later release.

A digest that changes re-opens every published group of that wish; a task id that changes repeats its computation.
If this test fails, a field, a default or the canonical form was changed: give the field a default that means "as
before", or raise the ``recipe_version`` of the stage. The file is regenerated only with an ADR that says why every
group may be done again: ``REFREEZE=1 pytest tests/unit/contimg/test_identity_frozen.py``.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from engine_world import VLA, World, group_of, observation, toy_specs

from contimg.models.group import GroupSpec
from contimg.models.observation import Role

FILE = Path(__file__).parents[2] / "data" / "identity" / "frozen.json"
START = "2026-01-25T22:00:13Z"
FIRST = {"start": START, "count": 3}
BASE = {"pipeline": "dsa110-continuum", "observations": FIRST}
SPECS = {
    "plain": BASE,
    "defaults written out": BASE | {"calibrator": "auto", "minMembers": None, "suspend": False, "shard": "main"},
    "suspended, replayed, another policy": BASE | {"suspend": True, "replay": 4, "publish": {"policy": "always"}},
    "an empty stage": BASE | {"stages": {"image": {}}},
    "until an end": BASE | {"observations": {"start": START, "end": "2026-01-25T23:00:13Z"}},
    "named members": BASE | {"observations": {"members": ["2026-01-25T22:00:13", "7345"]}},
    "stages": BASE | {"stages": {"image": {"robust": 0.5, "size": 4800}, "crossmatch": {"enabled": True}}},
    "include": BASE | {"publish": {"include": ["images", "ms"]}},
    "reprocess": BASE | {"reprocess": 2, "minMembers": 2, "calibrator": "3C48"},
    "another pipeline": BASE | {"pipeline": "vla-continuum", "shard": "north"},
}


def tasks() -> dict[str, str]:
    """Return the task ids of two groups of toy stages: recipes with every kind of input."""
    found = {}
    drift = World(group_of(2, name="g", stages={"crossmatch": {"enabled": True}, "image": {"robust": 0.5}}))
    drift.arrive(observation(0), observation(1, calibrator="3C48"))
    drift.reference |= {"flags:2026-01-25": "f1"}
    scans = World(group_of(1, name="s", pipeline_name="vla-continuum"), pipeline=VLA, specs=toy_specs(convert=2))
    roles = (Role.FLUX, Role.TARGET)
    scans.arrive(*[observation(i, role=role, instrument="vla") for i, role in enumerate(roles)])
    for world in (drift, scans):
        world.settle()
        found |= {f"{task.group} {task.stage} {task.unit}": task.task for task in world.executed}
    return found


def current() -> dict[str, dict[str, str]]:
    """Return what this code makes of the same wishes."""
    digests = {name: GroupSpec.model_validate(spec).digest for name, spec in SPECS.items()}
    return {"spec digests": digests, "task ids": tasks()}


@pytest.mark.parametrize("kind", ["spec digests", "task ids"])
def test_identities_are_what_they_were(kind):
    if os.environ.get("REFREEZE"):
        FILE.parent.mkdir(exist_ok=True)
        FILE.write_text(json.dumps(current(), indent=1) + "\n")
    frozen = json.loads(FILE.read_text())[kind]
    assert len(frozen) >= 10
    assert current()[kind] == frozen, __doc__


def test_what_equals_its_default_is_no_part_of_the_digest():
    digests = current()["spec digests"]
    same = ["plain", "defaults written out", "suspended, replayed, another policy", "an empty stage"]
    assert len({digests[name] for name in same}) == 1
    assert len(set(digests.values())) == len(digests) - len(same) + 1


def test_a_field_that_a_later_release_adds_changes_no_digest():
    class Later(GroupSpec):
        """The same with one more field."""

        priority: int = 0

    for spec in SPECS.values():
        assert Later.model_validate(spec).digest == GroupSpec.model_validate(spec).digest
    assert Later.model_validate(BASE | {"priority": 1}).digest != GroupSpec.model_validate(BASE).digest
