"""What a group says to stage publish. Pure; the engine calls it."""

from __future__ import annotations

from typing import Any

from contimg.models.decide import Answer, Choice, Problem
from contimg.models.group import Policy

__all__ = ["decide"]


def decide(problem: Problem) -> Answer:
    """Hand on when and what to publish; the approval matters to policy ``manual`` alone."""
    publish = problem.group.spec.publish
    said: dict[str, Any] = {"policy": publish.policy.value, "include": sorted(publish.include)}
    if publish.policy is Policy.MANUAL:
        said["approve"] = publish.approve
    return Answer((Choice({"publish": said}),))
