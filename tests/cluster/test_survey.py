"""A survey of groups of four that share one recording, over eight; the third recording is sealed last."""

from __future__ import annotations

from cluster.release import Release
from waiting import until

SURVEY = """\
apiVersion: contimg.dsa110.org/v1alpha1
kind: Survey
metadata: {name: night}
spec:
  pipeline: dsa110-continuum
  start: 2026-01-26T12:00:00Z
  groups: {size: 4, overlap: 1, minSize: 4, maxGap: 900s}
  fileSets: {expect: 16, min: 16, deadline: 10min}
  template:
    stages:
      convert: {min_antennas: 15}
      image: {cell_arcsec: 20, size: 600}
"""


def members(release: Release) -> dict[str, tuple[str, ...]]:
    """Return the members of the survey's groups by name."""
    found = {}
    for group in release.get("og")["items"]:
        if group["metadata"]["name"].startswith("night-"):
            found[group["metadata"]["name"]] = tuple(group["spec"]["observations"]["members"])
    return found


def test_two_groups_are_formed_and_the_eighth_is_named(release: Release, next_night) -> None:
    first, second, third, *rest = next_night.recordings
    release.apply(SURVEY)
    for files in (first, second, third[:-1], *rest):
        release.drop(files)
    seven = until(lambda: sealed(release) >= 7 and sealed(release), 120)
    assert seven == 7
    seen = [members(release)]
    release.drop(third[-1:])

    def both() -> bool:
        now = members(release)
        if now != seen[-1]:
            seen.append(now)
        return len(now) == 2 and all(release.condition(name, "Succeeded") == "True" for name in now)

    until(both, 420)
    final = seen[-1]
    for earlier in seen:
        assert all(final[name] == chosen for name, chosen in earlier.items()), f"a member list changed: {seen}"
    (one, two) = (final[name] for name in sorted(final))
    assert [len(one), len(two)] == [4, 4]
    assert one[-1] == two[0]
    status = release.get("svy", "night")["status"]
    print(f"\nsurvey: {sorted(final)}; left over: {status['ungrouped']}")
    (left,) = status["ungrouped"]
    assert left["observation"] not in one + two
    assert left["reason"]


def sealed(release: Release) -> int:
    """Return how many recordings of the night are sealed."""
    records = (release.volumes / "state" / "observations").glob("2026-01-2[67]/*.json")
    return sum('"state": "sealed"' in path.read_text() for path in records)
