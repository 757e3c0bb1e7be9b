"""The commit (architecture.md, P5): one rename, and the first one wins.

Everything before the rename can be lost without a trace; everything after it can be repeated. No clock, token or
message decides. Whoever finds the run of its task there already drops its own work and adopts that run.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath

from contimg import crash
from contimg.errors import Damaged, Terminal
from contimg.models.identity import digest
from contimg.models.manifest import AttemptState, InputRef, Manifest, Product, Usage
from contimg.models.quality import worst
from contimg.models.task import Task
from contimg.stage import ProductDraft, Run, StageResult
from contimg.volume.attempt import ATTEMPT, LOG, MANIFEST, Attempt, close_record
from contimg.volume.disk import checksum, make_read_only, remove_tree, sync_directory, sync_tree, write_durable
from contimg.volume.layout import DATA_TYPES, Layout

__all__ = ["Made", "commit", "drop_scratch", "manifest_of", "read_run", "run_checksum"]

_OURS = {ATTEMPT, LOG, MANIFEST, ".lock"}


@dataclass(frozen=True)
class Made:
    """What the child hands back when its stage is done."""

    result: StageResult
    inputs: tuple[InputRef, ...] = ()
    raw: tuple[str, ...] = ()
    software: dict[str, str] | None = None


def read_run(layout: Layout, home: str, task: str) -> Run | None:
    """Return the committed run of a task, or None.

    Raises
    ------
    Damaged
        If its manifest cannot be read or is of another task.
    """
    path = layout.run(home, task)
    cure = f"move {path} away, the task is then done again"
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_text())
    except FileNotFoundError:
        if path.is_dir():
            raise Damaged(f"run {path} has no {MANIFEST}; {cure}") from None
        return None
    except ValueError as error:
        raise Damaged(f"{path / MANIFEST} cannot be read ({error}); {cure}") from error
    if manifest.task != task:
        raise Damaged(f"{path / MANIFEST} is of task {manifest.task}; {cure}")
    return Run(path, manifest)


def run_checksum(manifest: Manifest) -> str:
    """Return the sha256 over the products of a manifest, by which a later run names this one as its input."""
    return digest([[product.path, product.sha256] for product in manifest.products])


def commit(layout: Layout, attempt: Attempt, task: Task, made: Made, usage: Usage) -> Run:
    """Turn an attempt directory into the run of its task, or adopt the run that is there already.

    Raises
    ------
    Terminal
        If the stage announced a product that it did not write, or a name outside its home.
    """
    crash.point("commit.begun")
    manifest = manifest_of(attempt, task, made, usage)
    crash.point("commit.summed")
    drop_scratch(attempt.path, manifest)
    closed = attempt.record.model_copy(
        update={"state": AttemptState.COMMITTED, "finished": manifest.finished, "usage": usage}
    )
    write_durable(attempt.path / ATTEMPT, closed.model_dump_json())
    crash.point("commit.attempt-closed")
    write_durable(attempt.path / MANIFEST, manifest.model_dump_json(indent=1))
    crash.point("commit.manifest-written")
    sync_tree(attempt.path)
    crash.point("commit.synced")
    run = layout.run(task.home, task.task)
    run.parent.mkdir(parents=True, exist_ok=True)
    if _rename(attempt.path, run):
        crash.point("commit.renamed")
        sync_directory(run.parent)
        crash.point("commit.parent-synced")
        make_read_only(run)
        crash.point("commit.read-only")
    else:
        remove_tree(attempt.path)
        crash.point("commit.dropped")
        closed = closed.model_copy(update={"message": "another worker was first; its run was adopted"})
    close_record(layout, closed)
    crash.point("commit.recorded")
    committed = read_run(layout, task.home, task.task)
    assert committed is not None  # noqa: S101 - it was renamed, or another one stood in the way
    return committed


def _rename(attempt: Path, run: Path) -> bool:
    """Move an attempt to its run; False if a run is there already (a run is never empty)."""
    try:
        attempt.rename(run)
    except OSError as error:
        if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
            return False
        if error.errno != errno.EXDEV:
            raise
        return _copy_over(attempt, run)
    return True


def _copy_over(attempt: Path, run: Path) -> bool:
    """Commit from another file system: copy beside the run, sync, rename."""
    copy = run.parent / f".tmp-{attempt.name}"
    remove_tree(copy)
    shutil.copytree(attempt, copy, symlinks=True)
    crash.point("commit.copied")
    sync_tree(copy)
    crash.point("commit.copy-synced")
    try:
        copy.rename(run)
    except OSError as error:
        if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
            raise
        remove_tree(copy)
        return False
    crash.point("commit.copy-renamed")
    remove_tree(attempt)
    return True


def manifest_of(attempt: Attempt, task: Task, made: Made, usage: Usage) -> Manifest:
    """Return what a run will say about itself; reads every product for its checksum.

    Raises
    ------
    Terminal
        If the stage announced a product that it did not write, or a name outside its home.
    """
    result, record = made.result, attempt.record
    return Manifest(
        task=task.task,
        stage=task.stage,
        recipe_version=task.recipe_version,
        version=_version(),
        unit=task.unit,
        group=task.group,
        date=result.date or task.date,
        params=task.params,
        inputs=made.inputs,
        raw=made.raw,
        raw_digest=task.raw_digest,
        reference=task.reference,
        products=tuple(_product(attempt.path, draft) for draft in result.products),
        figures=result.figures,
        verdict=worst(figure.verdict for figure in result.figures),
        info=result.info,
        software=made.software or {},
        attempt=record.number,
        host=record.host,
        started=record.started,
        finished=datetime.now(UTC),
        usage=usage,
    )


def _version() -> str:
    try:
        return metadata.version("contimg")
    except metadata.PackageNotFoundError:
        return "0"


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


def _product(workdir: Path, draft: ProductDraft) -> Product:
    if draft.type not in DATA_TYPES:
        raise Terminal(f"product {draft.id!r} has the unknown data type {draft.type!r}; mend the stage")
    for path in (draft.path, *draft.names):
        if not _is_inside(path):
            raise Terminal(f"product {draft.id!r} has the path {path!r}, which leads outside; mend the stage")
    target = workdir / draft.path
    if not target.exists():
        raise Terminal(f"product {draft.id!r} was announced, but {draft.path!r} was not written; mend the stage")
    stray = next(_leading_out(target, workdir), None)
    if stray is not None:
        raise Terminal(f"product {draft.id!r} holds the link {str(stray)!r}, which leads outside; mend the stage")
    size, sha256 = checksum(target)
    return Product(
        type=draft.type, id=draft.id, path=draft.path, names=draft.names, bytes=size, sha256=sha256, role=draft.role
    )


def _leading_out(product: Path, workdir: Path) -> Iterator[Path]:
    """Yield the links of a product that point out of its run: their targets are not committed with it."""
    home = workdir.resolve()
    below = (Path(top, name) for top, names, files in os.walk(product) for name in (*names, *files))
    for path in (product, *below):
        if path.is_symlink() and not path.resolve().is_relative_to(home):
            yield path.relative_to(workdir)


def drop_scratch(workdir: Path, manifest: Manifest) -> None:
    """Remove whatever is neither a product, nor inside one, nor above one, nor our own."""
    products = [workdir / product.path for product in manifest.products]
    above = {parent for product in products for parent in product.parents}
    for directory, names, files in os.walk(workdir):
        here = Path(directory)
        descend = [name for name in names if here / name in above and here / name not in products]
        for name in [*names, *files]:
            path = here / name
            if path not in products and path not in above and not (here == workdir and name in _OURS):
                remove_tree(path)
        names[:] = descend
    crash.point("commit.scratch-dropped")
