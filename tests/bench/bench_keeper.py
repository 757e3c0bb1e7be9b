"""What the keeper costs when much was ever processed: start, memory, clean-up, rebuild, one look at a group of ten.

Run: ``./run bench keeper`` or ``python tests/bench/bench_keeper.py [--runs N] [--observations N] [--dir DIR]``. A state
directory with 300 000 runs, as many attempts and 100 000 observations is made first (about 5 GB; kept where ``--dir``
names a directory). A look is measured in CPU time, right after the commits before it; the rebuild in both. Each step
has a process of its own, whose largest memory is that of the step. Ends with 1 if a bound is missed.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from engine_world import World
from keeper_state import MEMBERS, STEP, commit, make, observation, sample, write
from rich.console import Console
from rich.table import Table

from contimg.engine.advance import Decision, advance
from contimg.keeper.keeper import Keeper
from contimg.models.fact import Facts, IngestFact, Needs
from contimg.models.group import GroupSpec, ObservationGroup, Selection
from contimg.models.resource import Metadata
from contimg.models.task import Task
from contimg.volume.disk import remove
from contimg.volume.layout import Layout

SMALL = 1000
DEC_DEG = -3.0
"""Step in declination: every bench group is where nothing else was ever observed, with neighbours of its own."""
NEIGHBOURS = 60
"""Runs that offer something in the month before: two a day."""
REPEATS = 30
BOUNDS = {
    "warm start, s": 5.0,
    "memory, MiB": 300.0,
    "clean-up pass, s": 2.0,
    "reconcile, ms": 15.0,
    "of which keeper, ms": 10.0,
    "facts, KiB": 128.0,
}
REBUILD = 2500.0
"""Records a second, at least."""
ALIKE = 1.2
"""Of two costs that must be equal, the larger over the smaller."""


def layout_of(directory: Path) -> Layout:
    """Return the directories of a bench."""
    return Layout(directory / "stage", directory / "data")


def memory_mib() -> float:
    """Return the largest resident set of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class OnDisk(World):
    """The world of the engine's tests with a real keeper: what is committed lies on disk and is registered."""

    keeper: Keeper
    asking_s: float = 0.0

    def answer(self, question: Needs, **_changes: object) -> Facts:
        """Ask the keeper."""
        begin = time.process_time()
        found = self.keeper.facts(question)
        self.asking_s += time.process_time() - begin
        return found

    def commit(self, task: Task) -> None:
        """Write a run and its attempt as a worker does, and tell the keeper."""
        super().commit(task)
        layout, fact = self.keeper.layout, self.runs[task.task]
        manifest = sample(task.stage, task.unit, task.group, self.now).model_copy(
            update={"task": task.task, "info": fact.info, "date": task.date, "finished": self.now}
        )
        commit(layout, manifest, on_staging=True)
        if task.stage == "publish":
            self.keeper.register_group(self.records[task.group])
        self.keeper.register_run(task.task, task.home)

    def look(self) -> Decision:
        """Reconcile the group once: ask for its facts, decide."""
        facts = self.facts()
        return advance(self.group, self.pipeline, self.specs, facts, self.now, self.status)


def measure(step: str, directory: Path) -> dict[str, Any]:
    """Do one step and return what it cost."""
    layout = layout_of(directory)
    begin = time.perf_counter()
    used = time.process_time()
    with Keeper(layout) as keeper:
        took = time.perf_counter() - begin
        found: dict[str, Any] = {"start_s": took, "cpu_s": time.process_time() - used, "read": keeper.report.read}
        if step == "clean":
            now = datetime.now(UTC)
            keeper.wanted([], now)
            begin = time.perf_counter()
            found["released"] = len(keeper.clean(now).released)
            found["clean_s"] = time.perf_counter() - begin
        if step == "reconcile":
            found |= reconcile(keeper, json.loads((directory / "made.json").read_text())["observations"])
        found["memory_mib"] = memory_mib()
    return found


def reconcile(keeper: Keeper, observations: int) -> dict[str, Any]:
    """Take a group of ten from its recordings to the end, and measure a look at it after every round of commits."""
    number = len(list(keeper.layout.groups.glob("bench-*.json")))  # never the same group twice
    world = a_world(keeper, observations + MEMBERS * (number + 1), f"bench-{number}", 16.0 + DEC_DEG * number)
    looks: list[tuple[float, float]] = []
    largest = 0
    while True:
        decision = world.decide()
        looks.append(best_ms(world))
        largest = max(largest, sum(len(keeper.facts(item).model_dump_json()) for item in world.questions))
        if not decision.tasks:
            break
        for task in decision.tasks:
            world.commit(task)
    if decision.status.phase != "Published":
        sys.exit(f"the bench is wrong: {decision.status.phase}: {decision.status.message}")
    print(*(f"{whole:.1f} ({keeper_s:.1f})" for whole, keeper_s in looks), file=sys.stderr)
    slowest, asking = max(looks)
    return {"reconcile_ms": slowest, "keeper_ms": asking, "facts_kib": largest / 1024}


def a_world(keeper: Keeper, first: int, name: str, dec_deg: float) -> OnDisk:
    """Record ten observations at a declination of their own, with what their neighbours of a month offer."""
    layout = keeper.layout
    members = [observation(first + n).model_copy(update={"dec_deg": dec_deg}) for n in range(MEMBERS)]
    for item in members:
        write(layout.record(item), item.model_dump_json())
    for day in range(NEIGHBOURS):
        at = members[0].start - timedelta(hours=12 * (day + 1))
        run = sample("solve", f"{name}-{day}", f"{name}-{day}", at)
        run = run.model_copy(update={"info": run.info | {"dec_deg": dec_deg}})
        commit(layout, run, on_staging=False)
    keeper.scan()
    wish = Selection(start=members[0].start, end=members[-1].start + STEP)
    spec = GroupSpec(pipeline="dsa110-continuum", observations=wish)
    world = OnDisk(ObservationGroup(metadata=Metadata(name=name), spec=spec), now=members[-1].end + timedelta(days=1))
    world.keeper = keeper
    world.arrive(*members)
    layout.ingest_fact.write_text(IngestFact(scanned=world.now + timedelta(days=1)).model_dump_json())
    return world


def best_ms(world: OnDisk) -> tuple[float, float]:
    """Return the shortest of many looks, in milliseconds of CPU time, and what the keeper took of it."""
    times = []
    for _ in range(REPEATS):
        world.asking_s, begin = 0.0, time.process_time()
        world.look()
        times.append((1e3 * (time.process_time() - begin), 1e3 * world.asking_s))
    return min(times)


def step(name: str, directory: Path) -> dict[str, Any]:
    """Do a step in a process of its own."""
    done = subprocess.run(
        [sys.executable, __file__, name, str(directory)], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout))


def prepare(directory: Path, runs: int, observations: int) -> None:
    """Make a state directory unless it is there."""
    if (directory / "made.json").exists():
        return
    Console(stderr=True).print(f"making {runs} runs and {observations} observations in {directory}")
    make(layout_of(directory), runs, observations)
    (directory / "made.json").write_text(json.dumps({"runs": runs, "observations": observations}))


def bench(directory: Path, runs: int, observations: int) -> int:
    """Measure all steps, print the table and return the exit code."""
    per_group = 35
    small, large = directory / "small", directory / "large"
    runs = runs // per_group * per_group
    prepare(small, SMALL // per_group * per_group, SMALL // 3)
    prepare(large, runs, observations)
    for place in (small, large):
        for path in layout_of(place).databases.values():
            path.unlink(missing_ok=True)
    step("start", small)
    rebuilt = step("start", large)
    rate, cpu_rate = rebuilt["read"] / rebuilt["start_s"], rebuilt["read"] / rebuilt["cpu_s"]
    warm = step("start", large)
    few, many = step("reconcile", small), step("reconcile", large)
    clean = step("clean", large)
    found = {
        "warm start, s": warm["start_s"],
        "memory, MiB": max(item["memory_mib"] for item in (rebuilt, warm, many, clean)),
        "clean-up pass, s": clean["clean_s"],
        "reconcile, ms": max(few["reconcile_ms"], many["reconcile_ms"]),
        "of which keeper, ms": max(few["keeper_ms"], many["keeper_ms"]),
        "facts, KiB": many["facts_kib"],
    }
    table = Table("measure", "found", "bound", title=f"keeper with {runs} runs and {observations} observations")
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}", f"<= {BOUNDS[name]:g}")
    ratio = max(few["reconcile_ms"], many["reconcile_ms"]) / min(few["reconcile_ms"], many["reconcile_ms"])
    table.add_row(
        f"rebuild of {rebuilt['read']} records, 1/s", f"{rate:.0f} ({cpu_rate:.0f} by CPU time)", f">= {REBUILD:g}"
    )
    table.add_row(f"reconcile, {runs} over {SMALL} runs", f"{ratio:.2f}", f"<= {ALIKE:g}")
    Console().print(table)
    Console().print({"rebuilt": rebuilt, "warm": warm, "few": few, "many": many, "clean": clean})
    missed = [name for name, value in found.items() if value > BOUNDS[name]]
    return int(bool(missed) or cpu_rate < REBUILD or ratio > ALIKE)


def main() -> int:
    """Return the exit code."""
    if len(sys.argv) == 3 and sys.argv[1] in {"start", "reconcile", "clean"}:
        print(json.dumps(measure(sys.argv[1], Path(sys.argv[2]))))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=300_000)
    parser.add_argument("--observations", type=int, default=100_000)
    parser.add_argument("--dir", type=Path)
    given = parser.parse_args()
    if given.dir:
        return bench(given.dir, given.runs, given.observations)
    directory = Path(tempfile.mkdtemp(prefix="contimg-bench-"))
    try:
        return bench(directory, given.runs, given.observations)
    finally:
        remove(directory)


if __name__ == "__main__":
    sys.exit(main())
