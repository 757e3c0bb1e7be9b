"""How long one decision takes for a group of twelve, in every phase of its life.

Run: ``python tests/bench/bench_engine.py``. Prints milliseconds and the ratio to a reference measured in the same run
(canonical JSON and sha256 of 100 task recipes), which does not depend on the machine. Ends with 1 if a decision takes
longer than 2 ms and longer than the reference, so that a slow machine alone is no failure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from engine_world import World, group_of, observation

from contimg.engine.advance import advance
from contimg.models.identity import task_id

MEMBERS = 12
LIMIT_MS = 2.0
REPEATS = 30


def best_ms(call: Callable[[], object]) -> float:
    """Return the shortest of many calls, in milliseconds."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        call()
        times.append(time.perf_counter() - begin)
    return 1e3 * min(times)


def reference() -> None:
    """Name a hundred tasks, uncached."""
    for number in range(100):
        task_id("image", 1, f"unit-{number}", {"cell_arcsec": 3.0}, {"tasks": {"calibrated_ms": ["a" * 32]}})


def phases() -> dict[str, float]:
    """Measure a decision after each round of commits, from the first to the published group."""
    world = World(group_of(MEMBERS, stages={"crossmatch": {"enabled": True}}))
    world.arrive(*[observation(i, calibrator="3C48" if i == 4 else "") for i in range(MEMBERS)])
    found = {}
    while True:
        decision = world.decide()
        facts, status = world.facts(), decision.status
        call = lambda: advance(world.group, world.pipeline, world.specs, facts, world.now, status)  # noqa: B023, E731 - called at once
        found[f"{status.phase} {status.stage}"] = best_ms(call)
        if not decision.tasks:
            return found
        for task in decision.tasks:
            world.commit(task)


def main() -> int:
    """Print the table; return the exit code."""
    scale = best_ms(reference)
    print(f"reference (100 recipes named): {scale:.3f} ms")
    found = phases()
    for name, value in found.items():
        print(f"advance, group of {MEMBERS}, {name:20s} {value:7.3f} ms   {value / scale:6.2f} x reference")
    worst = max(found.values())
    print(f"worst {worst:.3f} ms; limit {LIMIT_MS} ms")
    return int(worst > LIMIT_MS and worst > scale)


if __name__ == "__main__":
    sys.exit(main())
