"""A stage that needs more memory than its pod may have."""

from __future__ import annotations

import pytest
from cluster.faults import attempts, fresh_group
from cluster.release import Release
from waiting import until

pytestmark = pytest.mark.slow

SMALL_POD = {"stages": {"image": {"resources": {"limits": {"memory": "512Mi"}}}}}


def test_a_stage_in_a_pod_that_is_too_small_says_so(release: Release, recordings: None) -> None:
    release.more = SMALL_POD
    release.upgrade()
    release.wait_ready()
    try:
        release.apply(fresh_group("hungry", 6.9).replace("size: 600", "size: 8000"))
        until(lambda: release.condition("hungry", "Stalled") == "True", 300)
        failed = [each for each in attempts(release, "hungry") if each["state"] == "failed"]
        message = release.status("hungry")["message"]
    finally:
        release.more = {}
        release.upgrade()
        release.kubectl("delete", "og", "hungry")
    errors = [each["error"] for each in failed]
    print(f"\n512 MiB for a map of 8000 pixels: {errors}: {failed[0]['message']}\n  status: {message}")
    assert set(errors) == {"ResourceExhausted"}
    assert len([each for each in failed if each["counted"]]) <= 3 * 4, "three tries for each of four members"
    assert "MiB" in failed[0]["message"] or "bytes" in failed[0]["message"] or "GiB" in failed[0]["message"]
