"""All tasks of a group with their state, forward along the pipeline; and backwards, what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from contimg.engine.calibration import Choice, Problem, choose
from contimg.engine.plan import TRIES, Recipe, StagePlan, Wish, date_of, reference_for
from contimg.engine.selection import Block, Selected, clip, incompleteness
from contimg.models.fact import Facts, RunFact, TryFact
from contimg.models.group import Policy
from contimg.models.observation import ObservationRecord
from contimg.models.pipeline import Units
from contimg.models.quality import Verdict

__all__ = ["LOST_CAP", "Graph", "Node", "State", "build", "wanted"]

LOST_CAP = 10
"""Attempts of one round whose worker may be lost (P3)."""
REASON = 160
"""Characters of the reason why one observation is not used, where several are listed."""
DRIFT_SCAN = "dsa110"
"""The telescope whose bandpass the engine chooses; pointed arrays bring their calibrator scans along."""


class State(StrEnum):
    """Where one task stands."""

    DONE = "done"
    RELEASED = "released"
    """Was committed; its files were cleaned up."""
    RUNNING = "running"
    OPEN = "open"
    """Its recipe is known, its run does not exist."""
    PENDING = "pending"
    """Its recipe is not known yet: something before it is not final."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Something before it failed."""


USABLE = (State.DONE, State.RELEASED)
FINAL = (*USABLE, State.FAILED, State.SKIPPED)
BAD = (State.FAILED, State.SKIPPED)


@dataclass(frozen=True)
class Node:
    """One task, or the place of one whose recipe is not known yet."""

    plan: StagePlan
    unit: str
    state: State
    recipe: Recipe | None = None
    reads: tuple[Node, ...] = ()
    """What it needs before it can run."""
    run: RunFact | None = None
    block: Block | None = None
    """Why it cannot go on, beyond what it reads."""
    error: str = ""
    """Class of the failure, of the one that began it when skipped."""
    message: str = ""
    cause: Node | None = None
    """The node whose failure began it, when skipped."""


@dataclass
class Graph:
    """The nodes of one decision."""

    wish: Wish
    plans: tuple[StagePlan, ...]
    selected: Selected
    facts: Facts
    now: datetime
    telescope: str
    nodes: dict[str, dict[str, Node]] = field(default_factory=dict)
    """By stage and unit, in the order of the units."""

    @property
    def goal(self) -> Node:
        """The last stage's node: what the whole group is for."""
        return self.nodes[self.plans[-1].name][self.wish.group.name]

    def all(self) -> Iterable[Node]:
        """Return all nodes in the order of the pipeline."""
        return (node for units in self.nodes.values() for node in units.values())

    def lost(self) -> list[tuple[str, str]]:
        """Return the observations that cannot be used, each with the reason: recorded incomplete, or failed since."""
        found = [(item.id, clip(incompleteness(item), REASON)) for item in self.selected.incomplete]
        failed = [node for node in self.all() if node.plan.per_observation and node.state is State.FAILED]
        return found + [(node.unit, f"{node.plan.name}: {clip(node.message or node.error, REASON)}") for node in failed]


def build(graph: Graph) -> Graph:
    """Fill in the nodes, stage by stage; what a stage reads stands before it."""
    for plan in graph.plans:
        if plan.per_observation:
            units = _units(graph, plan)
            graph.nodes[plan.name] = {record.id: _observation_node(graph, plan, record) for record in units}
        else:
            graph.nodes[plan.name] = {graph.wish.group.name: _group_node(graph, plan)}
    return graph


def wanted(goal: Node) -> tuple[list[Node], list[Block]]:
    """Walk backwards from the goal: what should run now, and what stands in the way of the rest.

    A run that is there needs nothing, so what it was made from is not looked at.
    """
    asked: list[Node] = []
    blocks: list[Block] = []
    seen: set[tuple[str, str]] = set()
    stack = [goal]
    while stack:
        node = stack.pop()
        key = (node.plan.name, node.unit)
        if key in seen or node.state in (State.DONE, State.RUNNING, *BAD):
            continue
        seen.add(key)
        if node.block is not None:
            blocks.append(node.block)
        elif node.recipe is not None and all(item.state is State.DONE for item in node.reads):
            asked.append(node)
        stack.extend(node.reads)
    return asked, blocks


def _units(graph: Graph, plan: StagePlan) -> tuple[ObservationRecord, ...]:
    selected = graph.selected
    return selected.members + (selected.calibrators if plan.stage.units is Units.ALL else ())


def _upstream(graph: Graph, plan: StagePlan, unit: str) -> list[Node]:
    """Return what a task of scope observation reads: the same unit, or the one of the group."""
    found = []
    for name in plan.stage.reads:
        units = graph.nodes.get(name, {})
        node = units.get(unit) or units.get(graph.wish.group.name)
        found += [] if node is None else [node]
    return found


def _inputs(reads: Iterable[Node]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for node in reads:
        if node.recipe is not None:
            found.setdefault(node.plan.spec.home, []).append(node.recipe.task)
    return {home: tuple(tasks) for home, tasks in found.items()}


def _observation_node(graph: Graph, plan: StagePlan, record: ObservationRecord) -> Node:
    reads = tuple(_upstream(graph, plan, record.id))
    held = _held(plan, record.id, reads)
    if held is not None:
        return held
    date = date_of(record.start)
    recipe = graph.wish.recipe(
        plan,
        record.id,
        date,
        _inputs(reads),
        record=record,
        reads_raw=not plan.stage.reads,
        reference=reference_for(plan, graph.facts.reference, (date,)),
    )
    return _settle(graph, plan, recipe, reads)


def _held(plan: StagePlan, unit: str, reads: tuple[Node, ...]) -> Node | None:
    """Return the node of a task that something before it keeps from being named, or None."""
    bad = next((node for node in reads if node.state in BAD), None)
    if bad is not None:
        return _skipped(plan, unit, bad, reads)
    if any(node.recipe is None for node in reads):
        return Node(plan, unit, State.PENDING, reads=reads)
    return None


def _skipped(plan: StagePlan, unit: str, bad: Node, reads: tuple[Node, ...]) -> Node:
    cause = bad.cause or bad
    return Node(plan, unit, State.SKIPPED, reads=reads, error=cause.error, message=cause.message, cause=cause)


def _settle(graph: Graph, plan: StagePlan, recipe: Recipe, reads: tuple[Node, ...], block: Block | None = None) -> Node:
    """Return the node of a task whose recipe is known, with its state from the facts."""
    state, error, message = _state(graph, plan, recipe.task)
    run = graph.facts.runs.get(recipe.task)
    if state not in (State.OPEN, State.RELEASED):
        block = None
    return Node(plan, recipe.unit, state, recipe, reads, run, block, error, message)


def _state(graph: Graph, plan: StagePlan, task: str) -> tuple[State, str, str]:
    """Return state, error class and message of a task: a run decides before the tries do."""
    run = graph.facts.runs.get(task)
    if run is not None:
        if run.verdict is Verdict.FAILED and not _accepts_failed(graph, plan):
            return State.FAILED, "DataQuality", _forbids(run)
        return (State.DONE if run.present else State.RELEASED), "", ""
    tried = graph.facts.tries.get(task)
    if tried is not None and tried.running:
        return State.RUNNING, "", ""
    if tried is None or tried.round < graph.wish.group.spec.replay or not _given_up(tried):
        return State.OPEN, "", ""
    error = tried.last.error if tried.last is not None else ""
    message = tried.last.message if tried.last is not None else f"{tried.failed + tried.lost} tries failed"
    return State.FAILED, error or "Terminal", message


def _given_up(tried: TryFact) -> bool:
    return tried.final or tried.failed >= TRIES or tried.lost >= LOST_CAP


def _accepts_failed(graph: Graph, plan: StagePlan) -> bool:
    """Policy ``always`` publishes whatever the group's stages say; a failed member is never used.

    The last stage reports the verdict of what it was given: its own record says whether it was published.
    """
    return not plan.per_observation and (
        graph.wish.group.spec.publish.policy is Policy.ALWAYS or plan is graph.plans[-1]
    )


def _forbids(run: RunFact) -> str:
    said = [
        f"{f.name} = {f.value} {f.unit}".strip() + f" ({f.limit})" for f in run.figures if f.verdict is Verdict.FAILED
    ]
    return f"the figures forbid using the result: {', '.join(said) or 'verdict failed'}"


def _group_node(graph: Graph, plan: StagePlan) -> Node:
    name = graph.wish.group.name
    one = [graph.nodes[item][name] for item in plan.stage.reads if name in graph.nodes.get(item, {})]
    many = [graph.nodes[item] for item in plan.stage.reads if item in graph.nodes and name not in graph.nodes[item]]
    units = [node for nodes in many for node in nodes.values()]
    held = _held(plan, name, tuple(one))
    if held is not None and held.state is State.SKIPPED:
        return held
    whole = next((node for node in units if node.cause is not None and not node.cause.plan.per_observation), None)
    if whole is not None:
        return _skipped(plan, name, whole, tuple(one))
    waits = graph.selected.block is not None or any(node.state not in FINAL for node in units)
    if waits or held is not None:
        return Node(plan, name, State.PENDING, reads=(*units, *one), block=graph.selected.block)
    return _survivors(graph, plan, one, many)


def _survivors(graph: Graph, plan: StagePlan, one: list[Node], many: list[dict[str, Node]]) -> Node:
    """Go on with the members that got so far, if they are enough."""
    wish, selected = graph.wish, graph.selected
    members = tuple(item for item in selected.members if _alive(item, many))
    need = wish.group.spec.min_members or selected.expected
    if many and len(members) < need:
        return Node(plan, wish.group.name, State.FAILED, error="MembersFailed", message=_too_few(graph, members, need))
    calibrators = tuple(item for item in selected.calibrators if _alive(item, many))
    units = [item.id for item in (*members, *calibrators)]
    reads = tuple(_ordered(graph, plan, one, units))
    context = _Context(graph, plan, members, calibrators, reads)
    return context.solve() if plan.name == "solve" else context.node(_options(graph, plan))


def _alive(record: ObservationRecord, many: list[dict[str, Node]]) -> bool:
    return all(nodes[record.id].state in USABLE for nodes in many if record.id in nodes)


def _ordered(graph: Graph, plan: StagePlan, one: list[Node], units: list[str]) -> Iterable[Node]:
    """Return the inputs stage by stage as the pipeline names them, members in time order before calibrators."""
    group = {node.plan.name: node for node in one}
    for name in plan.stage.reads:
        if name in group:
            yield group[name]
        else:
            yield from (graph.nodes[name][unit] for unit in units if unit in graph.nodes.get(name, {}))


def _too_few(graph: Graph, members: tuple[ObservationRecord, ...], need: int) -> str:
    alive = {item.id for item in members}
    lost = [(unit, why) for unit, why in graph.lost() if unit not in alive]
    named = "; ".join(f"{unit} ({why})" for unit, why in lost[:3]) + (f"; and {len(lost) - 3} more" if lost[3:] else "")
    return (
        f"{len(members)} of {graph.selected.expected} members succeeded and {need} are needed (spec.minMembers); "
        f"not usable: {named or 'none'}"
    )


def _options(graph: Graph, plan: StagePlan) -> dict[str, Any]:
    """Return what the group says to a stage beyond parameters."""
    if plan.name == "mosaic":
        return {"expected": graph.selected.expected}
    if plan.name == "publish":
        publish = graph.wish.group.spec.publish
        said: dict[str, Any] = {"policy": publish.policy.value, "include": sorted(publish.include)}
        return {"publish": said | ({"approve": publish.approve} if publish.policy is Policy.MANUAL else {})}
    return {}


@dataclass(frozen=True)
class _Context:
    """What the recipe of a group's task is made of."""

    graph: Graph
    plan: StagePlan
    members: tuple[ObservationRecord, ...]
    calibrators: tuple[ObservationRecord, ...]
    reads: tuple[Node, ...]

    def recipe(self, options: dict[str, Any], extra: Mapping[str, tuple[str, ...]] | None = None) -> Recipe:
        """Return the recipe with these options and these further inputs."""
        graph = self.graph
        dates = tuple(dict.fromkeys(date_of(item.start) for item in (*self.members, *self.calibrators)))
        return graph.wish.recipe(
            self.plan,
            graph.wish.group.name,
            dates[0] if dates else "",
            _inputs(self.reads) | dict(extra or {}),
            members=tuple(item.id for item in self.members),
            calibrators=tuple(item.id for item in self.calibrators),
            reference=reference_for(self.plan, graph.facts.reference, dates),
            options=options,
        )

    def node(self, options: dict[str, Any]) -> Node:
        """Return the node with these options."""
        return _settle(self.graph, self.plan, self.recipe(options), self.reads)

    def solve(self) -> Node:
        """Return the node of stage solve, whose calibration has to be chosen first."""
        graph = self.graph
        spec = graph.wish.group.spec
        if graph.telescope != DRIFT_SCAN:
            named = {} if spec.calibrator == "auto" else {"calibrator": spec.calibrator}
            return self.node({"calibration": {"mode": "scans", **named}})
        choice = choose(Problem(graph.wish.group, self.members, graph.facts, graph.now), self._identify())
        if isinstance(choice, Block):
            return Node(self.plan, graph.wish.group.name, State.PENDING, block=choice)
        block = None
        if not choice.present:
            text = f"the bandpass of run {choice.table} was cleaned up; raise spec.reprocess to choose another"
            block = Block("InputsReleased", text, stalled=True)
        return _settle(graph, self.plan, self._chosen(choice), self.reads, block)

    def _chosen(self, choice: Choice) -> Recipe:
        extra = {self.plan.spec.home: (choice.table,)} if choice.table else {}
        return self.recipe({"calibration": choice.options}, extra)

    def _identify(self) -> Callable[[Choice], str]:
        return lambda choice: self._chosen(choice).task
