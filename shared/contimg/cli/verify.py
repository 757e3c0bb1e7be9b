"""``contimg verify``: repeat the committed tasks of a group elsewhere and name every byte that differs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import typer

from contimg.cli.places import DataBase, StageBase, checked_name, checked_place, indexes, layout_of
from contimg.errors import BadConfig, ContimgError, Damaged
from contimg.keeper.queries import Chosen, Queries
from contimg.models.fact import GroupRecord
from contimg.models.manifest import Manifest
from contimg.models.spec import spec_of
from contimg.stage import Run
from contimg.volume import disk
from contimg.volume.commit import read_run
from contimg.volume.layout import Layout
from contimg.worker.repeat import repeat
from contimg.worker.reply import Unforeseen
from contimg.worker.warm import ChildDied

__all__ = ["Verified", "compare", "tasks_of", "verify"]

NOT_REPEATED = 75
"""Exit code when nothing differs, but not every task could be repeated."""


@dataclass(frozen=True)
class Verified:
    """What came of one task."""

    manifest: Manifest
    differences: tuple[str, ...] = ()
    obstacle: str = ""
    """Why it could not be repeated."""

    @property
    def sentence(self) -> str:
        """One line, and one more for each difference."""
        name = f"{self.manifest.stage} {self.manifest.unit} (task {self.manifest.task})"
        if self.obstacle:
            return f"NOT REPEATED {name}: {self.obstacle}"
        if self.differences:
            return "\n  ".join([f"DIFFERS {name}:", *self.differences])
        return f"same {name}: {len(self.manifest.products)} products"


def compare(committed: Run, repeated: Run) -> Iterator[str]:
    """Give what differs between two runs of one task, in words: products by file and field, figures, info."""
    from contimg.radio.same import differences  # noqa: PLC0415 - astropy and casacore

    mine, other = (_by_path(run.manifest) for run in (committed, repeated))
    for path in sorted(set(mine) ^ set(other)):
        yield f"product {path} is only in the {'committed' if path in mine else 'repeated'} run"
    for path in sorted(set(mine) & set(other)):
        if mine[path] != other[path]:
            yield f"product {path}: {mine[path]} became {other[path]}"
        for words in differences(committed.path / path, repeated.path / path):
            yield f"product {path}: {words}"
    for name in ("figures", "info", "verdict"):
        before, after = (getattr(run.manifest, name) for run in (committed, repeated))
        if before != after:
            yield f"{name} of the manifest: {before} became {after}"


def _by_path(manifest: Manifest) -> dict[str, tuple[object, ...]]:
    return {each.path: (each.type, each.id, each.role, each.names) for each in manifest.products}


def tasks_of(queries: Queries, layout: Layout, group: str) -> list[Manifest]:
    """Return the runs a group stands on, inputs before what reads them.

    Of a published group these are the run of its record and all its inputs; else every run that was made for it.

    Raises
    ------
    BadConfig
        If no run of this group is known.
    """
    record = layout.groups / f"{group}.json"
    if record.is_file():
        waiting = [GroupRecord.model_validate_json(record.read_bytes()).task]
    else:
        waiting = [row["task"] for row in queries.rows("runs", Chosen(group=group))]
    found: dict[str, Manifest] = {}
    while waiting:
        task = waiting.pop()
        manifest = queries.run(task) if task not in found else None
        if manifest is not None:
            found[task] = manifest
            waiting += [ref.task for ref in manifest.inputs]
    if not found:
        raise BadConfig(f"no run of a group {group!r} is known here; 'contimg get runs' lists them")
    return sorted(found.values(), key=lambda manifest: (manifest.finished, manifest.task))


async def _verified(layout: Layout, manifest: Manifest, scratch: Path) -> Verified:
    """Repeat one task; what holds the same is removed again, what differs stays to be looked at."""
    place = scratch / manifest.task
    try:
        committed = read_run(layout, spec_of(manifest.stage).home, manifest.task)
        if committed is None:
            return Verified(manifest, obstacle="its run was cleaned up")
        found = tuple(compare(committed, await repeat(layout, manifest, scratch)))
    except (ContimgError, Unforeseen, ChildDied, OSError) as error:
        disk.remove(place)
        return Verified(manifest, obstacle=f"{type(error).__name__}: {error}")
    if not found:
        disk.remove(place)
    return Verified(manifest, found)


async def _verify_all(layout: Layout, manifests: Sequence[Manifest], scratch: Path) -> list[Verified]:
    results = []
    for manifest in manifests:
        results.append(await _verified(layout, manifest, scratch))
        typer.echo(results[-1].sentence)
    return results


def verify(
    group: str = typer.Argument(help="Name of a group that was run here."),
    stage: str = typer.Option("", help="Only the tasks of this stage."),
    scratch: Path | None = typer.Option(None, "--dir", help="New directory for repeated runs; default: verify-GROUP."),
    stage_base: Path | None = StageBase,
    data_base: Path | None = DataBase,
) -> None:
    """Repeat the committed tasks of a group and compare: same task, same bytes. Ends with 4 when something differs.

    Nothing that was committed or published changes. What differs stays in the directory to be looked at.
    """
    layout = layout_of(stage_base, data_base)
    place = checked_place(scratch or Path(f"verify-{checked_name(group, 'name of a group')}"), "directory")
    with indexes(layout) as queries:
        manifests = [each for each in tasks_of(queries, layout, group) if stage in {"", each.stage}]
    if not manifests:
        raise BadConfig(f"group {group!r} has no run of stage {spec_of(stage).name!r}")
    if place.exists():
        raise BadConfig(f"{place} exists already; remove it or name another directory by --dir")
    disk.check_writable(place, "--dir of the repeated runs")
    results = asyncio.run(_verify_all(layout, manifests, place.absolute()))
    _conclude(results, place)


def _conclude(results: Sequence[Verified], place: Path) -> None:
    different = [each for each in results if each.differences]
    if different:
        raise Damaged(f"{len(different)} of {len(results)} repeated runs differ; they are in {place}")
    disk.remove(place)
    repeated = sum(not each.obstacle for each in results)
    typer.echo(f"{repeated} of {len(results)} runs were repeated and hold the same.")
    if repeated < len(results):
        raise typer.Exit(NOT_REPEATED)
