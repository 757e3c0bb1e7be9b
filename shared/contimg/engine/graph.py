"""All tasks of a group with their state, forward along the pipeline; and backwards, what is wanted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from contimg.engine.choosing import choices
from contimg.engine.node import BAD, FINAL, USABLE, Node, State
from contimg.engine.plan import Recipe, StagePlan, Wish, reference_for
from contimg.engine.selection import Selected
from contimg.engine.words import clip, incompleteness
from contimg.models.decide import Block, Choice, Problem
from contimg.models.fact import Facts, RunFact, TryFact
from contimg.models.group import Policy
from contimg.models.observation import ObservationRecord
from contimg.models.pipeline import Units
from contimg.models.quality import Verdict
from contimg.models.reason import Reason
from contimg.models.spec import Scope

__all__ = ["Graph", "build", "wanted"]

REASON = 160
"""Characters of the reason why one observation is not used, where several are listed."""


@dataclass
class Graph:
    """The nodes of one decision."""

    wish: Wish
    plans: tuple[StagePlan, ...]
    selected: Selected
    facts: Facts
    now: datetime
    watcher: str = "arrivals"
    """What the line of the observations is called: the pipeline's watcher."""
    asked: frozenset[str] | None = None
    """Tasks whose facts were asked for; a run of any other is taken for granted. None: all were."""
    nodes: dict[str, dict[str, Node]] = field(default_factory=dict)
    """By stage and unit, in the order of the units."""
    problems: list[tuple[StagePlan, Problem]] = field(default_factory=list)
    """What stages had to decide."""

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
            graph.nodes[plan.name] = {node.unit: node for node in _group_nodes(graph, plan)}
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
    recipe = graph.wish.recipe(
        plan,
        record.id,
        record.date,
        _inputs(reads),
        record=record,
        reads_raw=not plan.stage.reads,
        reference=reference_for(plan, graph.facts.reference, (record.date,)),
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


def _settle(
    graph: Graph, plan: StagePlan, recipe: Recipe, reads: tuple[Node, ...], choice: Choice | None = None
) -> Node:
    """Return the node of a task whose recipe is known, with its state from the facts."""
    state, error, message = _state(graph, plan, recipe.task)
    run = graph.facts.runs.get(recipe.task)
    node = Node(plan, recipe.unit, state, recipe, reads, run, None, error, message, choice=choice)
    if choice is not None and choice.released and state in (State.OPEN, State.RELEASED):
        return replace(node, block=Block(Reason.INPUTS_RELEASED, choice.released, stalled=True))
    return node


def _state(graph: Graph, plan: StagePlan, task: str) -> tuple[State, str, str]:
    """Return state, error class and message of a task: a run decides before the tries do."""
    run = graph.facts.runs.get(task)
    if run is not None:
        if run.verdict is Verdict.FAILED and not _accepts_failed(graph, plan):
            return State.FAILED, Reason.DATA_QUALITY, _forbids(run)
        return (State.DONE, "", "") if run.present else (State.RELEASED, "", run.damaged)
    if graph.asked is not None and task not in graph.asked:
        return State.DONE, "", ""
    return _tried(graph.facts.tries.get(task), graph.wish.group.spec.replay)


def _tried(tried: TryFact | None, replay: int) -> tuple[State, str, str]:
    if tried is None:
        return State.OPEN, "", ""
    if tried.running:
        return State.RUNNING, "", ""
    if tried.round < replay or not tried.final:
        return State.OPEN, "", tried.waits
    return State.FAILED, *_failure(tried)


def _failure(tried: TryFact) -> tuple[str, str]:
    if tried.last is None:
        return Reason.TERMINAL, f"{tried.failed + tried.lost} tries failed"
    return tried.last.error or Reason.TERMINAL, tried.last.message


def _accepts_failed(graph: Graph, plan: StagePlan) -> bool:
    """Policy ``always`` publishes whatever the group's stages say; a failed member is never used.

    A stage that judges reports the verdict of what it was given.
    """
    always = graph.wish.group.spec.publish.policy is Policy.ALWAYS
    return not plan.per_observation and (always or plan.spec.judges)


def _forbids(run: RunFact) -> str:
    said = [
        f"{f.name} = {f.value} {f.unit}".strip() + f" ({f.limit})" for f in run.figures if f.verdict is Verdict.FAILED
    ]
    return f"the figures forbid using the result: {', '.join(said) or 'verdict failed'}"


def _group_nodes(graph: Graph, plan: StagePlan) -> Sequence[Node]:
    """Return the node of a stage of scope group, or those of all partitions."""
    name = graph.wish.group.name
    members = {item.name for item in graph.plans if item.per_observation}
    read = [item for item in plan.stage.reads if item in graph.nodes]
    many = [graph.nodes[item] for item in read if item in members]
    whole = tuple(node for item in read if item not in members for node in graph.nodes[item].values())
    units = [node for nodes in many for node in nodes.values()]
    held = _held(plan, name, whole)
    if held is not None and held.state is State.SKIPPED:
        return [held]
    broken = next((node for node in units if node.cause is not None and not node.cause.plan.per_observation), None)
    if broken is not None:
        return [_skipped(plan, name, broken, whole)]
    waits = graph.selected.block is not None or any(node.state not in FINAL for node in units)
    if waits or held is not None:
        return [Node(plan, name, State.PENDING, reads=(*units, *whole), block=graph.selected.block)]
    return _survivors(graph, plan, whole, many)


def _survivors(graph: Graph, plan: StagePlan, whole: tuple[Node, ...], many: list[dict[str, Node]]) -> Sequence[Node]:
    """Go on with the members that got so far, if they are enough."""
    wish, selected = graph.wish, graph.selected
    members = tuple(item for item in selected.members if _alive(item, many))
    need = wish.group.spec.min_members or selected.expected
    if many and len(members) < need:
        told = _too_few(graph, members, need)
        return [Node(plan, wish.group.name, State.FAILED, error=Reason.MEMBERS_FAILED, message=told)]
    calibrators = tuple(item for item in selected.calibrators if _alive(item, many))
    units = [item.id for item in (*members, *calibrators)]
    reads = tuple(_ordered(graph, plan, whole, units))
    return _Task(graph, plan, members, calibrators, reads).nodes()


def _alive(record: ObservationRecord, many: list[dict[str, Node]]) -> bool:
    return all(nodes[record.id].state in USABLE for nodes in many if record.id in nodes)


def _ordered(graph: Graph, plan: StagePlan, whole: tuple[Node, ...], units: list[str]) -> Iterable[Node]:
    """Return the inputs stage by stage as the pipeline names them, members in time order before calibrators."""
    for name in plan.stage.reads:
        group = [node for node in whole if node.plan.name == name]
        nodes = graph.nodes.get(name, {})
        yield from group or (nodes[unit] for unit in units if unit in nodes)


def _too_few(graph: Graph, members: tuple[ObservationRecord, ...], need: int) -> str:
    alive = {item.id for item in members}
    lost = [(unit, why) for unit, why in graph.lost() if unit not in alive]
    named = "; ".join(f"{unit} ({why})" for unit, why in lost[:3]) + (f"; and {len(lost) - 3} more" if lost[3:] else "")
    return (
        f"{len(members)} of {graph.selected.expected} members succeeded and {need} are needed (spec.minMembers); "
        f"not usable: {named or 'none'}"
    )


@dataclass(frozen=True)
class _Task:
    """What the recipe of a group's task is made of."""

    graph: Graph
    plan: StagePlan
    members: tuple[ObservationRecord, ...]
    calibrators: tuple[ObservationRecord, ...]
    reads: tuple[Node, ...]

    def nodes(self) -> Sequence[Node]:
        """Return the node, or one for each partition; what has to be chosen first is chosen."""
        if not self.plan.spec.decide:
            return [self._node(Choice())]
        problem = self._problem()
        self.graph.problems.append((self.plan, problem))
        answer = choices(self.plan, problem, self.graph.facts, lambda item: self.recipe(item).task)
        if isinstance(answer, Block):
            return [Node(self.plan, self.graph.wish.group.name, State.PENDING, block=answer)]
        return [self._node(item) for item in answer]

    def recipe(self, choice: Choice) -> Recipe:
        """Return the recipe with what was chosen."""
        name, dates = self.graph.wish.group.name, self._dates
        return self.graph.wish.recipe(
            self.plan,
            f"{name}.{choice.key}" if self.plan.spec.scope is Scope.PARTITION else name,
            dates[0] if dates else "",
            _joined(self._inputs, choice.inputs),
            members=self._names[0],
            calibrators=self._names[1],
            reference=self._reference,
            options=choice.options,
        )

    @cached_property
    def _dates(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item.date for item in (*self.members, *self.calibrators)))

    @cached_property
    def _names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return tuple(item.id for item in self.members), tuple(item.id for item in self.calibrators)

    @cached_property
    def _inputs(self) -> dict[str, tuple[str, ...]]:
        return _inputs(self.reads)

    @cached_property
    def _reference(self) -> dict[str, str]:
        return reference_for(self.plan, self.graph.facts.reference, self._dates)

    def _node(self, choice: Choice) -> Node:
        return _settle(self.graph, self.plan, self.recipe(choice), self.reads, choice)

    def _problem(self) -> Problem:
        infos: dict[str, list[RunFact]] = {}
        for node in self.reads:
            if node.run is not None:
                infos.setdefault(node.plan.spec.home, []).append(node.run)
        wish, selected = self.graph.wish, self.graph.selected
        return Problem(
            group=wish.group,
            params=self.plan.values,
            members=self.members,
            calibrators=self.calibrators,
            expected=selected.expected,
            infos={home: tuple(runs) for home, runs in infos.items()},
            offers=tuple(item for item in self.graph.facts.offers if item.group != wish.group.name),
            recorded=self._recorded(),
            now=self.graph.now,
        )

    def _recorded(self) -> bool:
        """Whether a task of this stage and group is on record."""
        facts, key = self.graph.facts, (self.plan.name, self.graph.wish.group.name)
        return bool(self.plan.spec.wants) and (
            any((run.stage, run.unit) == key for run in facts.runs.values())
            or any((tried.last.stage, tried.last.unit) == key for tried in facts.tries.values() if tried.last)
        )


def _joined(inputs: dict[str, tuple[str, ...]], more: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return inputs | {home: inputs.get(home, ()) + tasks for home, tasks in more.items()}
