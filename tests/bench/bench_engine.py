"""How long one look of the engine takes, for a group of ten in every phase of its life and for ever larger groups.

Run: ``python tests/bench/bench_engine.py``. Prints milliseconds of ``advance`` and of all of ``needs``, and the ratio
to a reference measured in the same run (canonical JSON and sha256 of 100 task recipes), which does not depend on the
machine. Ends with 1 if a decision for ten takes longer than 2 ms and longer than the reference, so that a slow machine
alone is no failure, or if the time per member grows by more than half from 500 to 5 000 members.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from engine_world import START, World, group_of, observation

from contimg.engine.advance import advance
from contimg.models.identity import task_id

MEMBERS = 10
LARGE = (500, 5000)
LIMIT_MS = 2.0
GROWTH = 1.5


def best_ms(call: Callable[[], object], repeats: int = 30) -> float:
    """Return the shortest of many calls, in milliseconds of CPU time."""
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        call()
        times.append(time.process_time() - begin)
    return 1e3 * min(times)


def reference() -> None:
    """Name a hundred tasks, uncached."""
    for number in range(100):
        task_id("image", 1, f"unit-{number}", {"cell_arcsec": 3.0}, {"tasks": {"calibrated_ms": ["a" * 32]}})


def a_world(members: int) -> World:
    """Return a group of so many recordings, all there."""
    world = World(group_of(members, stages={"crossmatch": {"enabled": True}}))
    world.now = START + timedelta(days=30)
    return world.arrive(*[observation(i, calibrator="3C48" if i == 4 else "") for i in range(members)])


def phases(members: int, repeats: int) -> dict[str, tuple[float, float, int]]:
    """Measure a look after each round of commits: ``advance``, ``needs`` (with a model of the keeper), questions."""
    world = a_world(members)
    found = {}
    while True:
        decision = world.decide()
        facts, status = world.facts(), decision.status
        call = lambda: advance(world.group, world.pipeline, world.specs, facts, world.now, status)  # noqa: B023, E731 - called at once
        times = best_ms(call, repeats), best_ms(world.facts, repeats)
        found[f"{status.phase} {status.stage}"] = (*times, len(world.questions))
        if not decision.tasks:
            return found
        for task in decision.tasks:
            world.commit(task)


def main() -> int:
    """Print the table; return the exit code."""
    scale = best_ms(reference)
    print(f"reference (100 recipes named): {scale:.3f} ms")
    found = phases(MEMBERS, 30)
    for name, (decided, asked, questions) in found.items():
        text = f"advance {decided:7.3f} ms, {decided / scale:6.2f} x reference; needs {asked:7.3f} ms in {questions}"
        print(f"group of {MEMBERS}, {name:20s} {text}")
    worst = max(decided for decided, _, _ in found.values())
    print(f"worst {worst:.3f} ms; limit {LIMIT_MS} ms")
    per_member = []
    for members in LARGE:
        large = phases(members, 3)
        slowest, asked = max(value[0] for value in large.values()), max(value[1] for value in large.values())
        per_member.append(slowest / members)
        each = f"{1e3 * per_member[-1]:.1f} us a member"
        print(f"group of {members}: advance at most {slowest:.1f} ms ({each}), needs {asked:.0f} ms")
    return int((worst > LIMIT_MS and worst > scale) or per_member[1] > GROWTH * per_member[0])


if __name__ == "__main__":
    sys.exit(main())
