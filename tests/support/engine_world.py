"""A model of everything around the engine: recordings, stages that commit or fail, a keeper that reports facts.

It executes tasks by bookkeeping alone and refuses what no real worker could do: a task whose inputs are not there, a
task that is committed already. Its parameters classes are toys: the engine must not depend on the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from contimg.engine.advance import Decision, advance
from contimg.engine.inquiry import needs
from contimg.models.fact import (
    Facts,
    GroupRecord,
    IngestFact,
    Needs,
    Offer,
    OfferWindow,
    RunFact,
    TryFact,
    UnsealedFact,
)
from contimg.models.group import GroupSpec, GroupStatus, ObservationGroup, Policy, Selection
from contimg.models.manifest import AttemptRecord, AttemptState
from contimg.models.observation import CalibratorTransit, ObservationRecord, ObservationState, RawFile, Role
from contimg.models.pipeline import Pipeline
from contimg.models.quality import Verdict, worst
from contimg.models.reason import Reason
from contimg.models.resource import Metadata
from contimg.models.spec import DataType, Reference, Scope, StageParams, StageSpec
from contimg.models.task import Task
from contimg_solve.params import SolveParams

__all__ = [
    "DSA",
    "START",
    "VLA",
    "World",
    "group_of",
    "observation",
    "oid",
    "refuse_impossible",
    "toy_specs",
    "transit",
]

START = datetime(2026, 1, 25, 22, 0, 13, tzinfo=UTC)
"""Start of the first recording of every test."""
STEP = timedelta(seconds=309)
"""From the start of one recording to the next."""


class ConvertParams(StageParams):
    """Toy parameters."""

    rfi: str = "array"
    """Flagging method."""


class ImageParams(StageParams):
    """Toy parameters."""

    cell_arcsec: float = 3.0
    """Cell."""
    robust: float = 0.0
    """Weighting."""


class PlainParams(StageParams):
    """No parameters."""


class CrossmatchParams(StageParams):
    """Toy parameters."""

    enabled: bool = False
    """Whether it runs."""
    radius_arcsec: float = 10.0
    """Search radius."""


FLAGS = Reference(kind="flags", directory="config/flags", suffix=".txt", by_date=True)
CATALOGS = Reference(kind="catalog", directory="config/catalogs")
_ROWS: tuple[tuple[str, Scope, type[StageParams], str, tuple[Reference, ...]], ...] = (
    ("convert", Scope.OBSERVATION, ConvertParams, "raw_ms", (FLAGS,)),
    ("group", Scope.GROUP, PlainParams, "group", ()),
    ("solve", Scope.GROUP, SolveParams, "calibration_table", (CATALOGS,)),
    ("apply", Scope.OBSERVATION, PlainParams, "calibrated_ms", ()),
    ("image", Scope.OBSERVATION, ImageParams, "image", ()),
    ("mosaic", Scope.GROUP, PlainParams, "mosaic", ()),
    ("crossmatch", Scope.GROUP, CrossmatchParams, "catalog", (CATALOGS,)),
    ("publish", Scope.GROUP, PlainParams, "metadata", ()),
)


def toy_specs(**versions: int) -> dict[str, StageSpec]:
    """Return a watcher and eight stages with toy parameters; ``versions`` raises recipe versions.

    What they decide is decided by the real functions: those are pure.
    """
    decides = {name: f"contimg_{name}.decide:decide" for name in ("solve", "mosaic", "publish")}
    include = {"image": "images", "calibrated_ms": "ms", "calibration_table": "caltables"}
    found = {
        name: StageSpec(
            name=name,
            scope=scope,
            recipe_version=versions.get(name, 1),
            params=params,
            makes=(DataType(name=home, home=home, archive=home, include=include.get(home, "")),),
            runner=f"toy:{name}",
            optional=name == "crossmatch",
            reference=reference,
            decide=decides.get(name, ""),
            wants="contimg_solve.decide:wants" if name == "solve" else "",
            judges=name == "publish",
        )
        for name, scope, params, home, reference in _ROWS
    }
    return {"ingest": StageSpec(name="ingest", scope=Scope.WATCHER, params=PlainParams)} | found


def _pipeline(name: str, instrument: str, solve: dict) -> Pipeline:
    everything = ["convert", "group", "solve", "apply", "image", "mosaic", "crossmatch"]
    stages = [
        {"stage": "ingest"},
        {"stage": "convert", "units": "all"},
        {"stage": "group", "reads": ["convert"]},
        {"stage": "solve", "reads": ["group", "convert"], "params": solve},
        {"stage": "apply", "reads": ["convert", "solve"]},
        {"stage": "image", "reads": ["apply"]},
        {"stage": "mosaic", "reads": ["group", "image"]},
        {"stage": "crossmatch", "reads": ["mosaic"], "optional": True},
        {"stage": "publish", "reads": everything},
    ]
    return Pipeline.model_validate(
        {"kind": "Pipeline", "metadata": {"name": name}, "spec": {"instrument": instrument, "stages": stages}}
    )


DSA: Pipeline = _pipeline("dsa110-continuum", "dsa110", {})
VLA: Pipeline = _pipeline("vla-continuum", "vla", {"strategy": "calibrator-scans"})


def oid(index: int) -> str:
    """Return the id of the index-th recording."""
    return (START + index * STEP).strftime("%Y-%m-%dT%H:%M:%S")


def transit(name: str, time: datetime, flux: float = 5.0) -> CalibratorTransit:
    """Return a calibrator's transit."""
    return CalibratorTransit(name=name, ra_deg=10.0, dec_deg=16.1, flux_jy=flux, apparent_flux_jy=flux, transit=time)


def observation(
    index: int,
    *,
    calibrator: str = "",
    role: Role = Role.TARGET,
    state: ObservationState = ObservationState.SEALED,
    instrument: str = "dsa110",
    dec_deg: float = 16.1,
    start: datetime | None = None,
    next_transits: tuple[CalibratorTransit, ...] = (),
) -> ObservationRecord:
    """Return the record of the index-th recording; ``calibrator`` crosses its middle."""
    start = start or START + index * STEP
    middle = start + STEP / 2
    name = start.strftime("%Y-%m-%dT%H:%M:%S")
    return ObservationRecord(
        id=name,
        instrument=instrument,
        state=state,
        start=start,
        end=start + STEP,
        integrations=24,
        integration_s=12.885,
        ra_deg=343.8,
        dec_deg=dec_deg,
        files=(RawFile(path=f"{name}_sb00.hdf5", role="sb00", bytes=1, digest=f"d{name}"),),
        digest=f"raw-{name}",
        bytes=1,
        role=role,
        sealed_at=start + 2 * STEP,
        calibrators=(transit(calibrator, middle),) if calibrator else (),
        next_transits=next_transits,
        reasons=("14 of 16 subbands, missing sb03, sb04",) if state is ObservationState.INCOMPLETE else (),
    )


def group_of(count: int, *, name: str = "g1", pipeline_name: str = "dsa110-continuum", **spec) -> ObservationGroup:
    """Return a group of the first ``count`` recordings; ``spec`` sets further fields."""
    given = {"observations": Selection(start=START, count=count), **spec}
    return ObservationGroup(metadata=Metadata(name=name), spec=GroupSpec(pipeline=pipeline_name, **given))


def refuse_impossible(world: World, task: Task) -> None:
    """Fail if no real worker could run this task, or if it has no reason to."""
    run = world.runs.get(task.task)
    if run is not None and run.present:
        record = world.records.get(task.group)
        named = record is not None and record.spec_digest == task.spec_digest and record.current and record.published
        assert task.stage == "publish", f"{task.stage} {task.unit} is committed and was asked for"
        assert not named, "a complete group was asked to publish again"
        return
    missing = [i for ids in task.inputs.values() for i in ids if i not in world.runs or not world.runs[i].present]
    assert not missing, f"{task.stage} {task.unit} was asked for without {missing}"
    tried = world.tries.get(task.task)
    assert tried is None or not tried.running, f"{task.stage} {task.unit} runs already"
    assert tried is None or not (tried.final and tried.round >= task.round), f"{task.stage} {task.unit} is given up"
    if task.stage == "convert":
        record = world.observations[task.observation]
        assert record.state is ObservationState.SEALED
        assert task.raw_digest == record.digest


def _inside(offer: Offer, window: OfferWindow) -> bool:
    near = window.low_deg <= offer.position_deg <= window.high_deg
    return offer.stage == window.stage and window.start <= offer.at <= window.end and near


@dataclass
class World:
    """Everything outside the engine."""

    group: ObservationGroup
    pipeline: Pipeline = DSA
    specs: dict[str, StageSpec] = field(default_factory=toy_specs)
    now: datetime = START + timedelta(hours=2)
    observations: dict[str, ObservationRecord] = field(default_factory=dict)
    runs: dict[str, RunFact] = field(default_factory=dict)
    tries: dict[str, TryFact] = field(default_factory=dict)
    offers: dict[str, Offer] = field(default_factory=dict)
    records: dict[str, GroupRecord] = field(default_factory=dict)
    unsealed: tuple[UnsealedFact, ...] = ()
    reference: dict[str, str] = field(default_factory=lambda: {"catalog:nvss.fits": "c1"})
    scanning: bool = True
    status: GroupStatus | None = None
    executed: list[Task] = field(default_factory=list)
    verdicts: dict[tuple[str, str], Verdict] = field(default_factory=dict)
    """By stage and unit: what its figures will say."""
    questions: list[Needs] = field(default_factory=list)
    """Of the last look."""

    def arrive(self, *records: ObservationRecord) -> World:
        """Let ingest finish these recordings."""
        self.observations |= {item.id: item for item in records}
        return self

    def everything(self, **changes) -> Facts:
        """Return all that a keeper could report."""
        given = {
            "observations": tuple(self.observations.values()),
            "runs": dict(self.runs),
            "tries": dict(self.tries),
            "offers": tuple(
                item.model_copy(update={"present": self._there(item.task)}) for item in self.offers.values()
            ),
            "record": self.records.get(self.group.name),
            "ingest": IngestFact(scanned=self.now if self.scanning else None, unsealed=self.unsealed),
            "reference": self.reference,
        }
        return Facts(**(given | changes))

    def answer(self, question: Needs, **changes) -> Facts:
        """Return what a keeper answers to a question about the group: that and no more."""
        known = self.everything(**changes)
        units = set(question.units)
        tasks = set(question.tasks) | {task for task, run in known.runs.items() if (run.stage, run.unit) in units}
        tasks |= {t for t, tried in known.tries.items() if tried.last and (tried.last.stage, tried.last.unit) in units}
        return known.model_copy(
            update={
                "observations": self._observations(question, known.observations),
                "runs": {task: run for task, run in known.runs.items() if task in tasks},
                "tries": {task: tried for task, tried in known.tries.items() if task in tasks},
                "offers": tuple(item for item in known.offers if any(_inside(item, w) for w in question.offers)),
            }
        )

    @staticmethod
    def _observations(question: Needs, records) -> tuple[ObservationRecord, ...]:
        if question.ids:
            return tuple(item for item in records if item.id in question.ids)
        if question.start is None:
            return ()
        found: list[ObservationRecord] = []
        targets = 0
        for item in sorted(records, key=lambda record: (record.start, record.id)):
            if item.start < question.start or item.instrument != question.instrument:
                continue
            found.append(item)
            targets += item.role is Role.TARGET
            if (question.end is not None and item.start >= question.end) or targets == question.count:
                break
        return tuple(found)

    def facts(self, **changes) -> Facts:
        """Ask the keeper what the engine asks, as its host does."""
        facts, asked = Facts(), []
        more = needs(self.group, self.pipeline, self.specs, facts, asked, self.now, self.status)
        while more is not None:
            facts = facts.merged(self.answer(more, **changes))
            asked.append(more)
            assert len(asked) < 20
            more = needs(self.group, self.pipeline, self.specs, facts, asked, self.now, self.status)
        self.questions = asked
        return facts

    def decide_unchecked(self, **changes) -> Decision:
        """Ask the engine and keep the status."""
        self.now += timedelta(seconds=1)
        facts = self.facts(**changes)
        decision = advance(self.group, self.pipeline, self.specs, facts, self.now, self.status)
        self.status = decision.status
        return decision

    def decide(self, **changes) -> Decision:
        """Ask the engine, check what it asks for, and keep the status."""
        decision = self.decide_unchecked(**changes)
        assert all(item.reason is not Reason.NOT_JUDGED for item in decision.status.conditions), decision.status.message
        for task in decision.tasks:
            refuse_impossible(self, task)
        assert len({task.task for task in decision.tasks}) == len(decision.tasks)
        return decision

    def commit(self, task: Task) -> None:
        """Let a worker finish a task, or adopt its run; publish also registers the group."""
        self.tries.pop(task.task, None)
        if task.task not in self.runs or not self.runs[task.task].present:
            self.executed.append(task)
            verdict = self.verdicts.get((task.stage, task.unit), Verdict.PASS)
            if task.stage == "publish":
                verdict = self._inputs_verdict(task)
            self.runs[task.task] = RunFact(
                task=task.task,
                stage=task.stage,
                unit=task.unit,
                home=task.home,
                present=True,
                verdict=verdict,
                info=self._info(task, verdict),
                finished=self.now,
                wall_s=2.0,
            )
        if task.stage == "solve":
            self._note_table(task, self.runs[task.task].verdict)
        if task.stage == "publish":
            run = self.runs[task.task]
            self.records[task.group] = GroupRecord(
                group=task.group,
                spec_digest=task.spec_digest,
                task=task.task,
                published=run.info["published"],
                policy=run.info["policy"],
                reason=run.info["reason"],
                verdict=run.verdict,
                at=self.now,
                members=task.members,
            )

    def _there(self, task: str) -> bool:
        return task not in self.runs or self.runs[task].present

    def _note_table(self, task: Task, verdict: Verdict) -> None:
        choice = task.options.get("calibration", {})
        if choice.get("mode") != "own":
            return
        member = self.observations[choice["member"]]
        crossing = next(item for item in member.calibrators if item.name == choice["calibrator"])
        self.offers[task.task] = Offer(
            task=task.task,
            stage=task.stage,
            group=task.group,
            key=crossing.name,
            at=crossing.transit,
            position_deg=member.dec_deg,
            verdict=verdict,
        )

    def _inputs_verdict(self, task: Task) -> Verdict:
        return worst(self.runs[i].verdict for ids in task.inputs.values() for i in ids)

    @staticmethod
    def _info(task: Task, verdict: Verdict) -> dict:
        if task.stage != "publish":
            return {}
        publish = task.options["publish"]
        allowed = {
            Policy.ALWAYS: True,
            Policy.UNLESS_FAILED: verdict is not Verdict.FAILED,
            Policy.ON_QA_PASS: verdict is Verdict.PASS,
            Policy.MANUAL: publish.get("approve", False),
        }[Policy(publish["policy"])]
        reason = "" if allowed else f"policy {publish['policy']} forbids verdict {verdict.value}"
        return {"published": allowed, "reason": reason, "policy": publish["policy"]}

    def start(self, task: Task) -> None:
        """Let a worker take a task."""
        old = self.tries.get(task.task)
        again = old is not None and old.round >= task.round
        base = old if again else TryFact(task=task.task, round=task.round)
        self.tries[task.task] = base.model_copy(update={"running": True, "last": self._attempt(task, "")})

    def fail(self, task: Task, error: str = "Unavailable", *, final: bool = False, lost: bool = False) -> None:
        """Let the running attempt of a task fail."""
        self.start(task)
        old = self.tries[task.task]
        failed, gone = old.failed + (not lost), old.lost + lost
        self.tries[task.task] = old.model_copy(
            update={
                "running": False,
                "failed": failed,
                "lost": gone,
                "final": final or failed >= 3 or gone >= 10,
                "last": self._attempt(task, error),
            }
        )

    def _attempt(self, task: Task, error: str) -> AttemptRecord:
        return AttemptRecord(
            task=task.task,
            number=1,
            round=task.round,
            stage=task.stage,
            unit=task.unit,
            group=task.group,
            state=AttemptState.FAILED if error else AttemptState.RUNNING,
            started=self.now,
            error=error,
            message=f"{task.stage} of {task.unit} met {error}" if error else "",
        )

    def settle(self, limit: int = 60) -> Decision:
        """Execute what is asked for until nothing is."""
        for _ in range(limit):
            decision = self.decide()
            if not decision.tasks:
                return decision
            for task in decision.tasks:
                self.commit(task)
        raise AssertionError(f"not settled after {limit} decisions: {decision.status.message}")

    def stages_run(self) -> list[str]:
        """Return the stages executed since the last call, each task once, and forget them."""
        names = [task.stage for task in self.executed]
        self.executed = []
        return names
