"""``contimg show``, ``why`` and ``log``: one thing in full, what blocks a group, what an attempt printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import typer
from rich.console import Console

from contimg.cli.cluster import Cluster, Store
from contimg.cli.display import status_table
from contimg.cli.places import DataBase, StageBase, checked_name, indexes, is_yaml, layout_of
from contimg.engine.advance import Decision
from contimg.engine.why import why as explain
from contimg.errors import BadConfig
from contimg.host.look import look_at
from contimg.host.store import ResourceStore
from contimg.host.yamlfile import dumps, load_group, load_resources
from contimg.keeper.lock import holder
from contimg.models.group import GroupSpec, ObservationGroup
from contimg.models.instrument import pipelines
from contimg.models.pipeline import Pipeline
from contimg.models.reason import Phase
from contimg.models.spec import nearest, specs
from contimg.volume.layout import Layout

__all__ = ["log", "show", "why"]

OVER = (Phase.PUBLISHED, Phase.UNPUBLISHED, Phase.FAILED, Phase.SUSPENDED)
"""Nothing more happens without an edit, whether somebody runs the group or not."""
ATTEMPT = re.compile(r"([0-9a-f]{4,32})(?:-(\d{1,4}))?")


def _wish(store: ResourceStore, word: str) -> tuple[ObservationGroup, Pipeline, Path]:
    """Return a group by its name or from its YAML file, with its pipeline and where it was read from."""
    if is_yaml(word):
        return *load_group(Path(word)), Path(word)
    group, source = store.get(checked_name(word, "name of a group"))
    return group, pipelines().get(group.spec.pipeline) or load_group(source)[1], source


def _notes(store: ResourceStore, name: str, source: Path, *, is_run: bool, is_over: bool) -> Iterator[str]:
    """Give what the decision does not know: whether anybody works on this group, as it is written now."""
    again = f"contimg run {shlex.quote(str(source))}"
    if name not in store.names():
        yield f"It was not run with state directory {store.directory.parent} yet; start it with: {again}"
    elif not source.exists():
        yield f"Its file {source} was removed, so nothing is asked for; write it again to go on with it."
    elif (news := _news(store, name, source, again)) != "":
        yield news
    elif not is_run and not is_over:
        yield f"Nobody runs it now; go on with: {again}"


def _news(store: ResourceStore, name: str, source: Path, again: str) -> str:
    """Say what became of the file of a group since it was run; empty: it says the same."""
    try:
        found = {each.resource.name: each.resource for each in load_resources(source)}
    except BadConfig as error:
        return f"Its file was edited since and cannot be used: {error}"
    if name not in found:
        return f"Its file {source} was edited since and holds it no more, so nothing is asked for."
    same = found[name].spec == store.get(name)[0].spec
    return "" if same else f"The file was edited since; {again!r} takes the edit up."


def _why_there(cluster: Cluster, word: str) -> str:
    """Return what the operator of a cluster says about a group, and whether that is about its latest edit."""
    store = cluster.store()
    wish = load_group(Path(word))[0] if is_yaml(word) else None
    name = checked_name(word, "name of a group") if wish is None else wish.name
    if wish is not None and name not in store.names():
        return f"{name} is not in {cluster.kube.place} yet; start it with: kubectl apply -f {shlex.quote(word)}"
    group, _ = store.get(name)
    status = store.status(name)
    if status is None:
        pods = f"kubectl get pods -n {cluster.kube.namespace} -l app.kubernetes.io/component=operator"
        return f"{name} has no status that can be read: no operator has looked at it yet; see whether one runs: {pods}"
    said = [explain(group, Decision((), status))]
    if status.observed_generation < group.metadata.generation:
        said.append("It was edited since; the operator has not judged the edit yet.")
    if wish is not None and _without_replay(wish) != _without_replay(group):
        said.append(f"The file says something else; take it up with: kubectl apply -f {shlex.quote(word)}")
    return " ".join(said)


def _without_replay(group: ObservationGroup) -> GroupSpec:
    return group.spec.model_copy(update={"replay": 0})


def why(
    ctx: typer.Context,
    group: str = typer.Argument(help="Name of a group, or its YAML file."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Say in words what a group waits for, or what became of it, by what is on record. Changes nothing."""
    if ctx.obj is not None:
        typer.echo(_why_there(ctx.obj, group))
        return
    layout = layout_of(stage_base, data_base)
    store = ResourceStore(layout)
    resource, pipeline, source = _wish(store, group)
    decision = look_at(layout, resource, pipeline)
    is_over = decision.status.phase in OVER
    notes = _notes(store, resource.name, source, is_run=bool(holder(layout)), is_over=is_over)
    typer.echo(" ".join([explain(resource, decision), *notes]))


def _show_group(store: Store, name: str, console: Console) -> None:
    group, source = store.get(name)
    status = store.status(name)
    console.print(f"{name} (pipeline {group.spec.pipeline}, from {source})", markup=False)
    console.print(dumps(group.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)), markup=False)
    if status is not None:
        console.print(f"{status.phase}: {status.message}", markup=False)
        console.print(status_table(status))
        for item in status.conditions:
            since = f"{item.last_transition_time:%Y-%m-%dT%H:%M:%SZ}"
            said = f": {item.message}" if item.message else ""
            console.print(f"{item.type}={item.status} {item.reason} since {since}{said}", markup=False)


def _show_run(layout: Layout, thing: str) -> bool:
    """Print the manifest of a run, by its id or an unambiguous begin of it."""
    with indexes(layout) as queries:
        manifest = queries.run(thing)
    if manifest is not None:
        typer.echo(manifest.model_dump_json(indent=2))
    return manifest is not None


def _show_record(layout: Layout, thing: str) -> bool:
    path = layout.find_observation(thing)
    if path is not None:
        typer.echo(path.read_text(encoding="utf-8"))
    return path is not None


def show(
    ctx: typer.Context,
    thing: str = typer.Argument(help="Name of a group, id of a task (or its first digits), or id of an observation."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Show one group, run or observation in full."""
    checked_name(thing, "name or id")
    layout = layout_of(stage_base, data_base)
    cluster: Cluster | None = ctx.obj
    store = ResourceStore(layout) if cluster is None else cluster.store()
    names = store.names()
    if thing in names:
        _show_group(store, thing, Console(soft_wrap=True))
    elif cluster is not None:
        cluster.hand_over()
    elif not (_show_record(layout, thing) or _show_run(layout, thing)):
        raise BadConfig(
            f"'contimg get groups' lists the groups, and nothing here is called {thing!r}{nearest(thing, names)}"
        )


def _logs(layout: Layout, task: str, number: str) -> list[Path]:
    homes = [layout.runs(spec.home) for spec in specs().values() if spec.home]
    found = [log for home in homes for log in home.glob(f"{task}*/log.txt")]
    return sorted([*layout.failed.glob(f"*/{task}*-{number or '*'}_error.log"), *found])


def log(
    ctx: typer.Context,
    attempt: str = typer.Argument(
        help="<task>-<number> as 'contimg get attempts' shows it; the task's first digits, four at least, will do."
    ),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Print what an attempt printed: of a committed run its log, of a failed attempt the error log."""
    if ctx.obj is not None:
        ctx.obj.hand_over()
    layout = layout_of(stage_base, data_base)
    named = ATTEMPT.fullmatch(attempt)
    found = _logs(layout, named[1], named[2] or "") if named else []
    if not found:
        shown = attempt if len(attempt) <= 60 else f"{attempt[:60]}…"
        raise BadConfig(f"no log of an attempt {shown!r} below {layout.stage_base}; 'contimg get attempts' lists them")
    for path in found:
        typer.echo(f"== {path}")
        typer.echo(path.read_text(encoding="utf-8", errors="replace"))
