"""Random sequences of what happens to a keeper, compared with a model of a few dictionaries."""

from __future__ import annotations

import shutil
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from keeper_site import Site, everything, task_of

from contimg.keeper.keeper import Keeper
from contimg.volume.disk import remove
from contimg.volume.layout import Layout

UNITS = st.sampled_from(["a", "b", "c"])
STAGES = st.sampled_from(["convert", "mosaic"])
FAR = timedelta(days=400)
MEMORY = Path("/dev/shm")  # noqa: S108 - fsync costs nothing there


class KeeperMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.base = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.layout = Layout(self.base / "stage", self.base / "data")
        self.site = Site(self.layout)
        self.keeper = Keeper(self.layout)
        self.present: dict[str, bool] = {}
        """Registered runs."""
        self.homes: dict[str, tuple[str, str]] = {}
        self.failed: dict[str, int] = {}
        self.group: str | None = None
        self.commits = 0

    def teardown(self) -> None:
        self.keeper.close()
        remove(self.base)

    @rule(stage=STAGES, unit=UNITS)
    def commit(self, stage: str, unit: str) -> None:
        """A worker commits; nobody has registered it yet."""
        task = task_of(f"{stage} {unit} a")
        home = "raw_ms" if stage == "convert" else "mosaic"
        if not self.layout.run(home, task).exists():
            self.commits += 1
            self.site.commit(stage, unit, attempt=self.commits)
            self.site.name(task, home)
            self.homes[task] = (task, home)

    @rule(data=st.data())
    @precondition(lambda self: self.homes)
    def register(self, data: st.DataObject) -> None:
        task, home = data.draw(st.sampled_from(sorted(self.homes.values())))
        if self.layout.run(home, task).exists():
            self.keeper.register_run(task, home)
            self.present[task] = True

    @rule(data=st.data())
    @precondition(lambda self: any(self.present.values()))
    def vanish(self, data: st.DataObject) -> None:
        """Somebody removes a run."""
        task = data.draw(st.sampled_from(sorted(t for t, there in self.present.items() if there)))
        shutil.rmtree(self.layout.run(self.homes[task][1], task))
        self.present[task] = False

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Everything is old; what is not wanted goes."""
        known = sorted(self.present)
        wanted = set(data.draw(st.lists(st.sampled_from(known), unique=True))) if known else set()
        now = datetime.now(UTC) + FAR
        self.keeper.wanted(wanted, now)
        released = self.keeper.clean(now).released
        expected = {task for task, there in self.present.items() if there} - wanted
        assert expected >= set(released)
        assert all(self._was_wanted(task) for task in expected - set(released))
        for task in released:
            self.present[task] = False

    def _was_wanted(self, task: str) -> bool:
        """Wanted by an earlier step, less than a day ago in virtual time."""
        since = (datetime.now(UTC) + FAR - timedelta(days=1)).isoformat()
        return bool(self.keeper.index.rows("products", "SELECT 1 FROM wanted WHERE task = ? AND at > ?", (task, since)))

    @rule(unit=UNITS)
    def fail(self, unit: str) -> None:
        task = task_of(f"image {unit} a")
        number = self.failed.get(task, 0) + 1
        self.site.attempt(task, number, "failed", error="Retryable")
        self.keeper.register_attempt(task, number)
        self.failed[task] = number

    @rule(data=st.data())
    @precondition(lambda self: self.present)
    def publish(self, data: st.DataObject) -> None:
        self.group = data.draw(st.sampled_from(sorted(self.present)))
        self.keeper.register_group(self.site.group(self.group, published=False))

    @rule()
    def scan(self) -> None:
        assert self.keeper.scan().damaged == {}

    @rule(lost=st.sets(st.sampled_from(["ingest", "products", "cal_registry", "data_registry"])))
    def restart(self, lost: set[str]) -> None:
        self.keeper.close()
        for name in lost:
            self.layout.databases[name].unlink()
        self.keeper = Keeper(self.layout)

    @rule(unit=UNITS, cut=st.integers(1, 40))
    def damage(self, unit: str, cut: int) -> None:
        """A manifest on staging loses its end; a worker that is asked moves the run aside and makes it again."""
        task, home = task_of(f"mosaic {unit} a"), "mosaic"
        run = self.layout.run(home, task)
        if self.present.get(task):
            content = (run / "manifest.json").read_text()
            (run / "manifest.json").write_text(content[:-cut])
            fact = everything(self.keeper).runs[task]
            assert not fact.present
            assert "manifest.json is no Manifest" in fact.damaged
            run.rename(run.with_name(f"{task}.damaged-{self.commits}"))
            self.present[task] = False

    @invariant()
    def facts_equal_the_model(self) -> None:
        facts = everything(self.keeper)
        assert {task: run.present for task, run in facts.runs.items()} == self.present
        assert {task: fact.failed for task, fact in facts.tries.items()} == self.failed
        assert {task for task, fact in facts.tries.items() if fact.final} == {
            t for t, n in self.failed.items() if n >= 3
        }
        assert (facts.record.task if facts.record else None) == self.group
        states = {row["task"]: row["state"] for row in self.keeper.queries.rows("products")}
        there = {task: self.layout.run(self.homes[task][1], task).exists() for task in self.present}
        assert states == {task: "staging" if found else "released" for task, found in there.items()}


TestKeeper = KeeperMachine.TestCase
TestKeeper.settings = settings(
    max_examples=15, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
