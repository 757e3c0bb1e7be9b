"""Generated sequences of everything that can happen around the engine."""

from __future__ import annotations

import random
from datetime import timedelta

import profiles
from engine_world import START, World, group_of, observation, oid, transit
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contimg.engine.advance import advance
from contimg.engine.why import why
from contimg.models.fact import Facts, UnsealedFact
from contimg.models.group import Policy, PublishSpec, Selection
from contimg.models.identity import canonical
from contimg.models.observation import ObservationState
from contimg.models.quality import Verdict

COUNT = 3
TERMINAL = {"Published", "Unpublished", "Failed", "Stalled"}
picks = st.integers(min_value=0, max_value=10**6)


def shuffled(facts: Facts, seed: int) -> Facts:
    """Return the same facts in another order, observations and tables twice."""
    order = random.Random(seed)  # noqa: S311 - a shuffle, no secret

    def mixed(items):
        items = list(items)
        order.shuffle(items)
        return items

    return facts.model_copy(
        update={
            "observations": tuple(mixed(facts.observations * 2)),
            "offers": tuple(mixed(facts.offers * 2)),
            "runs": dict(mixed(facts.runs.items())),
            "tries": dict(mixed(facts.tries.items())),
            "reference": dict(mixed(facts.reference.items())),
        }
    )


class EngineMachine(RuleBasedStateMachine):
    """Two groups that share two members, on one model world."""

    @initialize(
        minimum=st.sampled_from([None, None, 1, 2]),
        form=st.sampled_from(["count", "end", "members"]),
        crossmatch=st.booleans(),
        calibrator=st.sampled_from([0, 1, 2, 2, 3, 4]),
        ready=st.sampled_from([True, True, False]),
    )
    def begin(self, minimum, form, crossmatch, calibrator, ready):
        self.calibrator = calibrator
        stages = {"crossmatch": {"enabled": crossmatch}}
        groups = []
        for number, first in enumerate((0, 1)):
            start, end = START + first * timedelta(seconds=309), START + (first + COUNT) * timedelta(seconds=309)
            selection = {
                "count": Selection(start=start, count=COUNT),
                "end": Selection(start=start, end=end),
                "members": Selection(members=tuple(oid(first + i) for i in range(COUNT))),
            }[form]
            groups.append(
                group_of(COUNT, name=f"g{number}", observations=selection, min_members=minimum, stages=stages)
            )
        self.worlds = [World(group) for group in groups]
        for name in ("observations", "runs", "tries", "offers", "records", "reference", "verdicts", "specs"):
            setattr(self.worlds[1], name, getattr(self.worlds[0], name))
        self.shared = self.worlds[0]
        self.queue = {}
        self.meaning = {}
        self.poisoned = False
        self.last = None
        if ready:
            self.arrive_all()

    # what arrives

    def _arrive(self, index, *, incomplete=False):
        state = ObservationState.INCOMPLETE if incomplete else ObservationState.SEALED
        record = observation(
            index,
            calibrator="3C48" if index == self.calibrator else "",
            state=state,
            next_transits=(transit("3C286", START + timedelta(hours=5)),),
        )
        self.shared.observations.setdefault(record.id, record)

    @rule(index=st.integers(0, COUNT + 1), incomplete=st.sampled_from([False, False, False, True]))
    def arrive(self, index, incomplete):
        self._arrive(index, incomplete=incomplete)

    @rule()
    def arrive_all(self):
        for index in range(COUNT + 2):
            self._arrive(index)

    @rule(index=st.integers(0, COUNT + 1), is_open=st.booleans())
    def being_written(self, index, is_open):
        start = START + index * timedelta(seconds=309)
        writing = (
            (UnsealedFact(start=start, sentence="13 of 16 subbands, missing sb03", id=oid(index)),) if is_open else ()
        )
        for world in self.worlds:
            world.unsealed = tuple(item for item in writing if oid(index) not in self.shared.observations)

    # the engine

    @rule(which=st.integers(0, 1), seed=picks)
    def decide(self, which, seed):
        world = self.worlds[which]
        decision = world.decide()
        again = advance(
            world.group, world.pipeline, world.specs, shuffled(world.facts(), seed), world.now, decision.status
        )
        assert {task.task for task in again.tasks} == {task.task for task in decision.tasks}
        self._note(decision)
        self.queue |= {task.task: task for task in decision.tasks}
        self.last = (world, decision)

    def _note(self, decision):
        """Check that the same wish has the same id and different wishes have different ones."""
        for task in decision.tasks:
            wish = task.model_dump(
                mode="json", exclude={"task", "round", "group", "generation", "spec_digest", "trace", "limits", "date"}
            )
            assert self.meaning.setdefault(task.task, canonical(wish)) == canonical(wish)
        assert len(set(self.meaning.values())) == len(self.meaning)

    @rule(which=st.integers(0, 1))
    def keeper_restarts(self, which):
        world = self.worlds[which]
        before = world.status
        decision = world.decide(keeper_silent=True)
        assert decision.tasks == ()
        assert decision.status.condition("Progressing").status == "Unknown"
        world.status = before

    @rule(which=st.integers(0, 1))
    def status_is_lost(self, which):
        self.worlds[which].status = None

    @rule(hours=st.integers(1, 12))
    def time_passes(self, hours):
        for world in self.worlds:
            world.now += timedelta(hours=hours)

    # workers

    def _pick(self, pick):
        return self.queue[sorted(self.queue)[pick % len(self.queue)]]

    def _there(self, task):
        runs = self.shared.runs
        return all(i in runs and runs[i].present for ids in task.inputs.values() for i in ids)

    @precondition(lambda self: self.queue)
    @rule(pick=picks, verdict=st.sampled_from([Verdict.PASS] * 6 + [Verdict.DEGRADED, Verdict.FAILED]))
    def commit(self, pick, verdict):
        task = self._pick(pick)
        del self.queue[task.task]
        committed = task.task in self.shared.runs and self.shared.runs[task.task].present
        if not committed and not self._there(task):
            self.shared.fail(task)
            return
        self.shared.verdicts[task.stage, task.unit] = verdict
        self.poisoned |= verdict is Verdict.FAILED and not committed
        self._world_of(task).commit(task)

    def _world_of(self, task):
        return next(world for world in self.worlds if world.group.name == task.group)

    @precondition(lambda self: self.queue)
    @rule()
    def commit_all(self):
        for task in list(self.queue.values()):
            if self._there(task):
                del self.queue[task.task]
                self.shared.verdicts.clear()
                self._world_of(task).commit(task)

    @rule(
        which=st.integers(0, 1),
        fates=st.lists(
            st.sampled_from(["", "", "", "degraded", "failed", "retryable", "final", "lost"]), min_size=2, max_size=9
        ),
        pick=picks,
    )
    def work(self, which, fates, pick):
        """Let workers take everything, round by round; in each round one task meets its fate."""
        for fate in fates:
            self.decide(which, pick)
            if self.queue and fate in ("degraded", "failed"):
                self.commit(pick, Verdict(fate))
            elif self.queue and fate:
                self.fail(pick, fate)
            self.commit_all()

    @precondition(lambda self: self.queue)
    @rule(pick=picks)
    def start(self, pick):
        task = self._pick(pick)
        if task.task not in self.shared.runs:
            self.shared.start(task)

    @precondition(lambda self: self.queue)
    @rule(pick=picks, how=st.sampled_from(["retryable", "retryable", "final", "lost"]))
    def fail(self, pick, how):
        task = self._pick(pick)
        if task.task in self.shared.runs:
            return
        self.shared.fail(
            task, "BadInput" if how == "final" else "Unavailable", final=how == "final", lost=how == "lost"
        )
        if self.shared.tries[task.task].final:
            del self.queue[task.task]

    @precondition(lambda self: self.queue)
    @rule(pick=picks)
    def message_is_lost(self, pick):
        del self.queue[self._pick(pick).task]

    @precondition(lambda self: self.shared.runs)
    @rule(pick=picks)
    def release(self, pick):
        runs = self.shared.runs
        task = sorted(runs)[pick % len(runs)]
        runs[task] = runs[task].model_copy(update={"present": False})

    @precondition(lambda self: self.shared.records)
    @rule(pick=picks)
    def names_move_away(self, pick):
        records = self.shared.records
        name = sorted(records)[pick % len(records)]
        records[name] = records[name].model_copy(update={"current": not records[name].published})

    # people

    def _edit(self, which, **changes):
        world = self.worlds[which]
        spec = world.group.spec.model_copy(update=changes)
        metadata = world.group.metadata.model_copy(update={"generation": world.group.metadata.generation + 1})
        world.group = world.group.model_copy(update={"spec": spec, "metadata": metadata})

    @rule(
        which=st.integers(0, 1),
        change=st.sampled_from(["robust", "robust", "plain", "suspend", "go on", "replay", "reprocess", *Policy]),
        then_work=st.booleans(),
        seed=picks,
    )
    def edit(self, which, change, then_work, seed):
        """Let a person edit the spec; the engine looks at once, and perhaps everything runs through."""
        spec = self.worlds[which].group.spec
        changes = {
            "robust": {"stages": spec.stages | {"image": {"robust": 0.5}}},
            "plain": {"stages": {name: given for name, given in spec.stages.items() if name != "image"}},
            "suspend": {"suspend": True},
            "go on": {"suspend": False},
            "replay": {"replay": spec.replay + 1},
            "reprocess": {"reprocess": spec.reprocess + 1},
        }
        policy = {"publish": PublishSpec(policy=change, approve=bool(seed % 2))} if change in list(Policy) else {}
        self._edit(which, **changes.get(change, policy))
        self.decide(which, seed)
        self.explains_itself()
        if then_work:
            self.work(which, [""] * 8, seed)

    @rule(stage=st.sampled_from(["convert", "solve", "mosaic", "publish"]))
    def upgrade(self, stage):
        specs = self.shared.specs
        specs[stage] = specs[stage].model_copy(update={"recipe_version": specs[stage].recipe_version + 1})

    # what always holds

    @invariant()
    def explains_itself(self):
        if self.last is None:
            return
        world, decision = self.last
        status = decision.status
        assert status.message
        assert len(status.model_dump_json()) < 64 * 1024
        assert status.condition("Succeeded").status in ("True", "False") or decision.tasks or status.message
        if status.phase in TERMINAL:
            assert decision.tasks == ()
            assert status.condition("Progressing").status == "False"
        if status.phase == "Published":
            record = world.records[world.group.name]
            assert record.published
            assert record.spec_digest == world.group.spec.digest
            assert record.current
            # a selection by its end takes what was there when it closed; one by count waits for all
            by_end = world.group.spec.observations.end is not None
            assert len(record.members) >= (world.group.spec.min_members or (1 if by_end else COUNT))
        if world.group.spec.suspend:
            assert decision.tasks == ()
        assert why(world.group, decision)
        self.last = None

    def teardown(self):
        """When failures stop, every group ends, published or explained."""
        if not hasattr(self, "worlds"):
            return
        self.arrive_all()
        rounds = 1 + max(world.group.spec.replay for world in self.worlds)
        for task, tried in self.shared.tries.items():
            self.shared.tries[task] = tried.model_copy(update={"running": False})
        for which, world in enumerate(self.worlds):
            world.unsealed = ()
            world.now = START + timedelta(days=3)
            world.verdicts.clear()
            self._edit(which, suspend=False, replay=rounds)
        for world in self.worlds:  # the second may have solved what the first needs
            world.settle()
        for world in self.worlds:
            self._ends(world)

    def _ends(self, world):
        decision = world.settle()
        assert decision.status.phase in TERMINAL, decision.status.message
        incomplete = any(item.state is ObservationState.INCOMPLETE for item in world.observations.values())
        manual = world.group.spec.publish.policy in (Policy.MANUAL, Policy.ON_QA_PASS)
        if not (incomplete or self.poisoned or manual) and decision.status.phase != "Published":
            assert decision.status.condition("Stalled").reason == "NoCalibration", decision.status.message
        world.stages_run()
        assert world.decide().tasks == ()


EngineMachine.TestCase.settings = settings(settings.get_profile(profiles.NAME))
TestEngine = EngineMachine.TestCase
