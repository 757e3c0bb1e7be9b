"""What the keeper costs when much was ever processed: start, memory, clean-up, rebuild, one look at a group of ten.

Run: ``./run bench keeper`` or ``python tests/bench/bench_keeper.py [--runs N] [--observations N] [--dir DIR]``. A state
directory with 300 000 runs, as many attempts and 100 000 observations is made first (about 5 GB; kept where ``--dir``
names a directory). Each step is measured in a process of its own, whose largest memory is that of the step. Ends with 1
if a bound is missed.
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

sys.path.insert(0, str(Path(__file__).parent))

from keeper_state import EPOCH, MEMBERS, STEP, make
from rich.console import Console
from rich.table import Table

from contimg.keeper.keeper import Keeper
from contimg.models.fact import Facts, Needs, OfferWindow
from contimg.volume.disk import remove
from contimg.volume.layout import Layout

SMALL = 1000
REPEATS = 100
BOUNDS = {
    "warm start, s": 5.0,
    "memory, MiB": 300.0,
    "clean-up pass, s": 2.0,
    "reconcile, ms": 15.0,
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


def question(runs: int) -> Needs:
    """Return what the engine asks about the last whole group on record: everything at once."""
    state = json.loads((Path(sys.argv[2]) / "tasks.json").read_text())
    per_group = len(state)
    number = runs // per_group - 1
    group, first = f"group-{number:06d}", number * MEMBERS
    start = EPOCH + first * STEP
    return Needs(
        group=group,
        start=start,
        end=start + MEMBERS * STEP,
        instrument="dsa110",
        tasks=tuple(state),
        units=(("solve", group),),
        offers=(OfferWindow(stage="solve", start=start - timedelta(days=1), end=start + timedelta(days=1)),),
    )


def measure(step: str, directory: Path) -> dict[str, Any]:
    """Do one step and return what it cost."""
    layout = layout_of(directory)
    begin = time.perf_counter()
    with Keeper(layout) as keeper:
        took = time.perf_counter() - begin
        found: dict[str, Any] = {"start_s": took, "read": keeper.report.read}
        if step == "clean":
            now = datetime.now(UTC)
            keeper.wanted([], now)
            begin = time.perf_counter()
            found["released"] = len(keeper.clean(now).released)
            found["clean_s"] = time.perf_counter() - begin
        if step == "reconcile":
            found |= reconcile(keeper, json.loads((directory / "made.json").read_text())["runs"])
        found["memory_mib"] = memory_mib()
    return found


def reconcile(keeper: Keeper, runs: int) -> dict[str, Any]:
    """Measure the facts of one group."""
    needs = question(runs)
    facts = keeper.facts(needs)
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        facts = keeper.facts(needs)
        times.append(time.perf_counter() - begin)
    _expect(facts)
    return {"reconcile_ms": 1e3 * min(times), "facts_kib": len(facts.model_dump_json()) / 1024}


def _expect(facts: Facts) -> None:
    if len(facts.observations) != MEMBERS + 1 or not all(run.present for run in facts.runs.values()):
        sys.exit(f"the bench is wrong: {len(facts.observations)} observations, {len(facts.runs)} runs")


def step(name: str, directory: Path) -> dict[str, Any]:
    """Do a step in a process of its own."""
    done = subprocess.run([sys.executable, __file__, name, str(directory)], check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def prepare(directory: Path, runs: int, observations: int) -> None:
    """Make a state directory unless it is there."""
    if (directory / "made.json").exists():
        return
    Console(stderr=True).print(f"making {runs} runs and {observations} observations in {directory}")
    tasks = make(layout_of(directory), runs, observations)
    (directory / "tasks.json").write_text(json.dumps(tasks))
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
    rate = rebuilt["read"] / rebuilt["start_s"]
    warm = step("start", large)
    few, many = step("reconcile", small), step("reconcile", large)
    clean = step("clean", large)
    found = {
        "warm start, s": warm["start_s"],
        "memory, MiB": max(item["memory_mib"] for item in (rebuilt, warm, many, clean)),
        "clean-up pass, s": clean["clean_s"],
        "reconcile, ms": max(few["reconcile_ms"], many["reconcile_ms"]),
        "facts, KiB": many["facts_kib"],
    }
    table = Table("measure", "found", "bound", title=f"keeper with {runs} runs and {observations} observations")
    for name, value in found.items():
        table.add_row(name, f"{value:.2f}", f"<= {BOUNDS[name]:g}")
    ratio = max(few["reconcile_ms"], many["reconcile_ms"]) / min(few["reconcile_ms"], many["reconcile_ms"])
    table.add_row(f"rebuild of {rebuilt['read']} records, 1/s", f"{rate:.0f}", f">= {REBUILD:g}")
    table.add_row(f"reconcile with {runs} over {SMALL} runs", f"{ratio:.2f}", f"<= {ALIKE:g}")
    Console().print(table)
    Console().print({"rebuilt": rebuilt, "warm": warm, "few": few, "many": many, "clean": clean})
    missed = [name for name, value in found.items() if value > BOUNDS[name]]
    return int(bool(missed) or rate < REBUILD or ratio > ALIKE)


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
