"""The archive: validated products on the bulk disk and in S3.

Publishing is idempotent and may die anywhere: contents get their place under ``.runs/<task>/`` only when they are
complete and verified, names move by one rename, the pointers in S3 are written last. Nothing is overwritten or
deleted: a name that moves on leaves the old product under ``superseded/<task>/``.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from contimg import crash
from contimg.errors import BadConfig, Damaged, ResourceExhausted, Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.base import Model, TaskId
from contimg.models.plan import Plan, PlanItem, plan_item
from contimg.models.quality import Verdict
from contimg.objectstore import ObjectStore, S3Target
from contimg.stage import Run
from contimg.volume.disk import checksum, make_read_only, remove_tree, sync_directory, sync_tree
from contimg.volume.layout import DATA_TYPES, Layout

__all__ = ["Archive", "PublishedProduct", "PublishedRecord", "S3Target"]

VALIDATED = ("mosaics", "catalogs", "images", "metadata")
"""Archive directories that also exist below ``products/`` on staging."""


MISTAKES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP}
"""Errors that waiting does not mend: permissions, a file where a directory should be, a loop of symlinks."""


class PublishedProduct(Model):
    """One product where users find it."""

    type: str
    role: str
    task: TaskId
    path: str
    """Absolute name in the archive."""
    sha256: str
    bytes: int
    s3: str = ""
    """``s3://<bucket>/<key>``; empty without an object store."""


class PublishedRecord(Model):
    """What became of a plan."""

    group: str
    task: TaskId
    published: bool
    reason: str = ""
    verdict: Verdict
    products: tuple[PublishedProduct, ...] = ()


class Archive:
    """The parent-side effect of stage publish.

    Parameters
    ----------
    layout
        Staging and archive directories.
    s3
        Object store; None: the disk alone.
    limits
        ``rpc_s`` bounds the wait for a connection to the object store.
    """

    def __init__(self, layout: Layout, s3: S3Target | None = None, limits: ProtocolLimits | None = None) -> None:
        self.layout = layout
        self._store = None if s3 is None else ObjectStore(s3, (limits or ProtocolLimits()).rpc_s)

    @property
    def store_url(self) -> str:
        """Address of the object store with its bucket; empty without one."""
        return "" if self._store is None else self._store.target.url

    def publish_run(self, run: Run) -> PublishedRecord:
        """Carry out the plan that a committed run of stage publish holds."""
        plan = Plan.model_validate_json(run.product("metadata", "plan").read_text())
        return self.publish(plan, run)

    def publish(self, plan: Plan, run: Run) -> PublishedRecord:
        """Bring the products of a plan, and the run that made it, into the archive; repeating it changes nothing.

        Parameters
        ----------
        plan
            What to publish.
        run
            The committed run of stage publish: its report, provenance and plan are published too.

        Raises
        ------
        Unavailable, ResourceExhausted
            If the disk or the object store cannot take the products now.
        BadConfig
            If a directory may not be written or the object store refuses the key.
        Damaged
            If a product no longer has the checksum of its manifest.
        """
        task = run.manifest.task
        record = PublishedRecord(
            group=plan.group, task=task, published=plan.publish, reason=plan.reason, verdict=plan.verdict
        )
        if not plan.publish:
            return record
        items = [*plan.items, *_own(plan, run)]
        with self._lock(f"group-{plan.group}"):
            with _disk(self.layout.archive):
                for item in items:
                    self._copy(item)
                for item in items:
                    self._validate(item)
                    self._name(item)
            crash.point("archive.named")
            if self._store is not None:
                self._upload(self._store, plan, items)
        return record.model_copy(update={"products": tuple(self._published(item) for item in items)})

    def is_current(self, plan: Plan, run: Run) -> bool:
        """Say whether every published name still leads to this plan's product."""
        return all(_same(self._target(item), self._kept(item)) for item in [*plan.items, *_own(plan, run)])

    def _home(self, item: PlanItem) -> Path:
        return self.layout.archive / DATA_TYPES[item.type].archive

    def _kept(self, item: PlanItem) -> Path:
        return self._home(item) / ".runs" / item.task / item.path

    def _target(self, item: PlanItem) -> Path:
        return self._home(item) / item.name

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold a lock of the archive; all names of a group carry its id, so one lock guards them."""
        directory = self.layout.archive / ".locks"
        with _disk(directory):
            directory.mkdir(parents=True, exist_ok=True)
            handle = os.open(directory / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _copy(self, item: PlanItem) -> None:
        """Copy into the archive's own run, verified before it gets its name there."""
        kept = self._kept(item)
        with self._lock(f"task-{item.task}"):
            if kept.exists():
                return
            source = self.layout.run(item.type, item.task) / item.path
            if not source.exists():
                msg = f"{source} is gone and not in the archive yet; replay the group to make it again"
                raise Damaged(msg)
            _make_directory(kept.parent)
            part = kept.with_name(f".{kept.name}.part")
            remove_tree(part)
            crash.point("archive.copy.before")
            _copy_verified(item, source, part)
            crash.point("archive.copy.verified")
            part.rename(kept)
            crash.point("archive.copy.renamed")
            sync_directory(kept.parent)
            crash.point("archive.copy.synced")

    def _validate(self, item: PlanItem) -> None:
        """Link a validated file into ``products/`` on staging."""
        row = DATA_TYPES[item.type]
        source = self.layout.run(item.type, item.task) / item.path
        target = self.layout.products / row.archive / item.name
        if row.archive not in VALIDATED or not source.exists() or _same(target, source):
            return
        _make_directory(target.parent)
        temporary = target.with_name(f".{target.name}.{item.task}")
        temporary.unlink(missing_ok=True)
        try:
            if item.directory:
                temporary.symlink_to(os.path.relpath(source, target.parent))
            else:
                temporary.hardlink_to(source)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            temporary.symlink_to(os.path.relpath(source, target.parent))
        crash.point("archive.validated")
        temporary.replace(target)
        sync_directory(target.parent)

    def _name(self, item: PlanItem) -> None:
        """Let the published name lead to this product; the one it led to goes to ``superseded/``."""
        target, kept = self._target(item), self._kept(item)
        if not _same(target, kept):
            _make_directory(target.parent)
            if target.exists():
                self._supersede(item, target)
            temporary = target.with_name(f".{target.name}.{item.task}")
            temporary.unlink(missing_ok=True)
            _link(temporary, kept, target.parent)
            crash.point("archive.name.before")
            temporary.replace(target)
            crash.point("archive.name.renamed")
            sync_directory(target.parent)
            crash.point("archive.name.synced")
        self._take_back(item)

    def _superseded(self, item: PlanItem, task: str) -> Path:
        return self.layout.archive / "superseded" / task / DATA_TYPES[item.type].archive / item.name

    def _supersede(self, item: PlanItem, target: Path) -> None:
        """Give the product that a name leads to a second name under ``superseded/``."""
        old = target.resolve()
        runs = self._home(item) / ".runs"
        owner = old.relative_to(runs.resolve()).parts[0] if old.is_relative_to(runs.resolve()) else ""
        owner = owner or _owner(runs, item, target) or f"unknown-{target.stat().st_ino}"
        aside = self._superseded(item, owner)
        if aside.exists():
            return
        _make_directory(aside.parent)
        crash.point("archive.supersede.before")
        _link(aside, old, aside.parent)
        sync_directory(aside.parent)
        crash.point("archive.supersede.after")

    def _take_back(self, item: PlanItem) -> None:
        """Remove the second name of a product that is current again; its content stays under ``.runs/``."""
        aside = self._superseded(item, item.task)
        if not aside.is_symlink() and not aside.exists():
            return
        aside.unlink()
        crash.point("archive.takeback")
        for directory in aside.relative_to(self.layout.archive).parents:
            path = self.layout.archive / directory
            if str(directory) in (".", "superseded") or any(path.iterdir()):
                break
            path.rmdir()

    def _upload(self, store: ObjectStore, plan: Plan, items: list[PlanItem]) -> None:
        store.prepare()
        for item in items:
            store.put(item, self._kept(item))
        for item in items:
            pointer = {"group": plan.group, "verdict": plan.verdict.value}
            pointer |= item.model_dump(include={"key", "task", "type", "role", "sha256", "bytes"})
            store.point(f"{DATA_TYPES[item.type].archive}/{item.name}.json", pointer)

    def _published(self, item: PlanItem) -> PublishedProduct:
        bucket = self._store.target.bucket if self._store else ""
        return PublishedProduct(
            type=item.type,
            role=item.role,
            task=item.task,
            path=str(self._target(item)),
            sha256=item.sha256,
            bytes=item.bytes,
            s3=f"s3://{bucket}/{item.key}" if bucket else "",
        )


def _own(plan: Plan, run: Run) -> list[PlanItem]:
    """Return the items of the publish run itself; their checksums did not exist when it wrote the plan."""
    task = run.manifest.task
    return [
        plan_item(product, task, plan.group, plan.date, directory=False)
        for product in run.manifest.products
        if product.type == "metadata"
    ]


def _copy_verified(item: PlanItem, source: Path, part: Path) -> None:
    if item.directory:
        shutil.copytree(source, part, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, part)
    crash.point("archive.copy.written")
    sync_tree(part) if item.directory else _sync_file(part)
    size, found = checksum(part)
    if found != item.sha256:
        remove_tree(part)
        msg = f"{source} has sha256 {found} in {size} bytes, its manifest says {item.sha256}; replay the group"
        raise Damaged(msg)
    make_read_only(part) if item.directory else part.chmod(0o444)
    if item.directory:
        part.chmod(0o755)  # a read-only directory of another owner cannot be renamed


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _make_directory(directory: Path) -> None:
    """Make a directory and its parents; each new name is durable."""
    if directory.is_dir():
        return
    _make_directory(directory.parent)
    directory.mkdir(exist_ok=True)
    sync_directory(directory.parent)


def _same(name: Path, content: Path) -> bool:
    return name.exists() and content.exists() and name.samefile(content)


def _link(name: Path, content: Path, parent: Path) -> None:
    """Name a file by hard link, a directory by relative symlink."""
    if content.is_dir():
        name.symlink_to(os.path.relpath(content, parent))
    else:
        name.hardlink_to(content)


def _owner(runs: Path, item: PlanItem, target: Path) -> str:
    """Return the task whose archived file a name leads to; hard links know it by their inode only."""
    usual = (run / item.path for run in runs.iterdir())
    anywhere = (path for path in runs.rglob("*") if path.is_file())
    for candidates in (usual, anywhere):
        for path in candidates:
            if _same(path, target):
                return path.relative_to(runs).parts[0]
    return ""


@contextmanager
def _disk(where: Path) -> Iterator[None]:
    """Turn errors of the file system into errors that say what to do."""
    try:
        yield
    except OSError as error:
        path = error.filename or where
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(where).free if where.exists() else 0
            msg = f"{path}: no space left for publication, {free} bytes are free; make room, it will be tried again"
            raise ResourceExhausted(msg) from error
        if error.errno in MISTAKES:
            msg = f"{path} cannot be written ({error.strerror}); let the service write below {where}"
            raise BadConfig(msg) from error
        msg = f"{path}: {error.strerror} while publishing below {where}; it will be tried again"
        raise Unavailable(msg) from error
