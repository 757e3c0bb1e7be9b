"""The commit (architecture.md, P5): one rename, and the first one wins.

Everything before the rename can be lost without a trace; everything after it can be repeated. No clock, token or
message decides. Whoever finds the run of its task there already drops its own work and adopts that run.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path, PurePosixPath

import structlog

from contimg.errors import Damaged, Terminal
from contimg.limits import NAME_BYTES
from contimg.models.identity import digest
from contimg.models.manifest import AttemptRecord, AttemptState, InputRef, Manifest, Product, Usage
from contimg.models.quality import worst
from contimg.models.spec import data_types
from contimg.models.task import Task
from contimg.stage import ProductDraft, Run, StageResult
from contimg.volume import disk
from contimg.volume.attempt import ATTEMPT, LOG, MANIFEST, Attempt, close_record
from contimg.volume.layout import Layout
from contimg.volume.soundness import check_products

__all__ = ["Reply", "adopt", "commit", "read_run", "run_checksum", "usable_run", "write_manifest"]

_log = structlog.get_logger(__name__)
KEPT = (
    "task", "stage", "recipe_version", "unit", "group", "params", "raw_digest", "observation", "members", "calibrators",
    "options", "reference",
)  # fmt: skip
"""What a manifest says in the words of its task; with date and inputs the task can be made again from it."""
_OURS = {ATTEMPT, LOG, MANIFEST, ".lock"}


@dataclass(frozen=True)
class Reply:
    """What the child hands back when its stage is done."""

    result: StageResult
    inputs: tuple[InputRef, ...] = ()
    raw: tuple[str, ...] = ()
    software: dict[str, str] = field(default_factory=dict)


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


def usable_run(layout: Layout, home: str, task: str) -> Run | None:
    """Return the committed run of a task, or None: there is none, or it was damaged and has been moved aside.

    A run is damaged when its manifest cannot be read or a product is missing or has another size. It is kept as
    ``<task>.damaged-<n>``, so that the task can be done again.
    """
    try:
        run = read_run(layout, home, task)
        if run is not None:
            check_products(run.path, run.manifest)
    except Damaged as error:
        with contextlib.suppress(FileNotFoundError):  # another worker did it at the same moment
            aside = disk.set_aside(layout.run(home, task), "damaged")
            _log.warning("a damaged run was moved aside", task=task, aside=str(aside), error=str(error))
        return None
    return run


def adopt(layout: Layout, home: str, task: str) -> Run | None:
    """Return the usable run of a task, sealed: whoever committed it may have died before."""
    run = usable_run(layout, home, task)
    if run is not None:
        disk.seal(run.path)
    return run


def run_checksum(manifest: Manifest) -> str:
    """Return the sha256 over the products of a manifest, by which a later run names this one as its input."""
    return digest([[product.path, product.sha256] for product in manifest.products])


def commit(layout: Layout, attempt: Attempt, task: Task, reply: Reply, usage: Usage) -> Run:
    """Turn an attempt directory into the run of its task, or adopt the run that is there already.

    Raises
    ------
    Terminal
        If the stage announced a product that it did not write, or a name outside its home.
    """
    finished = datetime.now(UTC)
    closed = attempt.record.model_copy(update={"state": AttemptState.COMMITTED, "finished": finished, "usage": usage})
    write_manifest(attempt.path, closed, task, reply)
    disk.write(attempt.path / ATTEMPT, closed.model_dump_json())
    disk.sync(attempt.path)
    run = layout.run(task.home, task.task)
    if disk.move(attempt.path, run):
        disk.seal(run)
    else:
        disk.remove(attempt.path)
        closed = closed.model_copy(update={"message": "another worker was first; its run was adopted"})
    close_record(layout, closed)
    committed = read_run(layout, task.home, task.task)
    assert committed is not None  # noqa: S101 - it was renamed, or another one stood in the way
    return committed


def write_manifest(workdir: Path, record: AttemptRecord, task: Task, reply: Reply) -> Run:
    """Let a directory say about itself what it is, and remove from it what is no product.

    Reads every product for its checksum.

    Raises
    ------
    Terminal
        If the stage announced a product that it did not write, or a name outside its home.
    """
    result = reply.result
    manifest = Manifest(
        **{name: getattr(task, name) for name in KEPT},
        version=_version(),
        date=result.date or task.date,
        inputs=reply.inputs,
        raw=reply.raw,
        products=tuple(_product(workdir, draft) for draft in result.products),
        figures=result.figures,
        verdict=worst(figure.verdict for figure in result.figures),
        info=result.info,
        software=reply.software,
        attempt=record.number,
        host=record.host,
        started=record.started,
        finished=record.finished or datetime.now(UTC),
        usage=record.usage,
    )
    _drop_scratch(workdir, manifest)
    disk.write(workdir / MANIFEST, manifest.model_dump_json(indent=1))
    return Run(workdir, manifest)


def _version() -> str:
    try:
        return metadata.version("contimg")
    except metadata.PackageNotFoundError:
        return "0"


def _is_inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return bool(pure.parts) and not pure.is_absolute() and ".." not in pure.parts


def _product(workdir: Path, draft: ProductDraft) -> Product:
    if draft.type not in data_types():
        raise Terminal(f"product {draft.id!r} has the unknown data type {draft.type!r}; mend the stage")
    for path in (draft.path, *draft.names):
        if not _is_inside(path):
            raise Terminal(f"product {draft.id!r} has the path {path!r}, which leads outside; mend the stage")
        if len(PurePosixPath(path).name.encode()) > NAME_BYTES:
            raise Terminal(f"product {draft.id!r} has a name of more than {NAME_BYTES} bytes, {path!r}; shorten it")
    target = workdir / draft.path
    if not target.exists():
        raise Terminal(f"product {draft.id!r} was announced, but {draft.path!r} was not written; mend the stage")
    stray = next(_leading_out(target, workdir), None)
    if stray is not None:
        raise Terminal(f"product {draft.id!r} holds the link {str(stray)!r}, which leads outside; mend the stage")
    size, sha256 = disk.checksum(target)
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


def _drop_scratch(workdir: Path, manifest: Manifest) -> None:
    """Remove whatever is neither a product, nor inside one, nor above one, nor our own."""
    products = [workdir / product.path for product in manifest.products]
    above = {parent for product in products for parent in product.parents}
    for directory, names, files in os.walk(workdir):
        here = Path(directory)
        descend = [name for name in names if here / name in above and here / name not in products]
        for name in [*names, *files]:
            path = here / name
            if path not in products and path not in above and not (here == workdir and name in _OURS):
                disk.remove(path)
        names[:] = descend
