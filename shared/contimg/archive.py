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

import structlog

from contimg.errors import BadConfig, Damaged, ResourceExhausted, Unavailable
from contimg.limits import ProtocolLimits
from contimg.models.plan import Plan, PlanItem, plan_item
from contimg.models.spec import data_types
from contimg.objectstore import ObjectStore, S3Target
from contimg.stage import Run
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["Archive", "S3Target"]

_log = structlog.get_logger(__name__)

MISTAKES = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ELOOP}
"""Errors that waiting does not mend: permissions, a file where a directory should be, a loop of symlinks."""


class Archive:
    """Where plans are carried out.

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

    def publish(self, plan: Plan, run: Run) -> None:
        """Bring the products of a plan, and the run that made it, into the archive; repeating it changes nothing.

        Parameters
        ----------
        plan
            What to publish.
        run
            The committed run that made the plan: its products are published too.

        Raises
        ------
        Unavailable, ResourceExhausted
            If the disk or the object store cannot take the products now.
        BadConfig
            If a directory may not be written or the object store refuses the key.
        Damaged
            If a product no longer has the checksum of its manifest.
        """
        items = [*plan.items, *_own(plan, run)]
        with self._lock(f"group-{plan.group}"):
            with _disk(self.layout.archive):
                for item in items:
                    self._copy(item)
                for item in items:
                    self._validate(item)
                    self._name(item)
            if self._store is not None:
                self._upload(self._store, plan, items)

    def _home(self, item: PlanItem) -> Path:
        return self.layout.archive / data_types()[item.type].archive

    def _kept(self, item: PlanItem) -> Path:
        return self._home(item) / ".runs" / item.task / item.path

    def _target(self, item: PlanItem) -> Path:
        return self._home(item) / item.name

    @contextmanager
    def _lock(self, name: str) -> Iterator[None]:
        """Hold a lock of the archive; all names of a group carry its id, so one lock guards them."""
        directory = self.layout.archive_locks
        with _disk(directory):
            directory.mkdir(parents=True, exist_ok=True)
            handle = os.open(directory / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            _take(handle, directory / name)
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
            disk.make(kept.parent)
            part = kept.with_name(f".{kept.name}.part")
            disk.remove(part)
            _copy_verified(item, source, part)
            disk.rename(part, kept)

    def _validate(self, item: PlanItem) -> None:
        """Link a validated file into ``products/`` on staging."""
        row = data_types()[item.type]
        source = self.layout.run(item.type, item.task) / item.path
        target = self.layout.products / row.archive / item.name
        if not row.validated or not source.exists() or _same(target, source):
            return
        disk.make(target.parent)
        try:
            disk.link(target, source, item.task, hard=not item.directory)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
                raise
            disk.link(target, source, item.task, hard=False)

    def _name(self, item: PlanItem) -> None:
        """Let the published name lead to this product; the one it led to goes to ``superseded/``."""
        target, kept = self._target(item), self._kept(item)
        if not _same(target, kept):
            disk.make(target.parent)
            if target.exists():
                self._supersede(item, target)
            disk.link(target, kept, item.task, hard=not kept.is_dir())
        self._take_back(item)

    def _superseded(self, item: PlanItem, task: str) -> Path:
        return self.layout.superseded / task / data_types()[item.type].archive / item.name

    def _supersede(self, item: PlanItem, target: Path) -> None:
        """Give the product that a name leads to a second name under ``superseded/``."""
        old = target.resolve()
        runs = self._home(item) / ".runs"
        owner = old.relative_to(runs.resolve()).parts[0] if old.is_relative_to(runs.resolve()) else ""
        owner = owner or _owner(runs, item, target) or f"unknown-{target.stat().st_ino}"
        aside = self._superseded(item, owner)
        if aside.exists():
            return
        disk.make(aside.parent)
        disk.link(aside, old, item.task, hard=not old.is_dir())

    def _take_back(self, item: PlanItem) -> None:
        """Remove the second name of a product that is current again; its content stays under ``.runs/``."""
        aside = self._superseded(item, item.task)
        if not aside.is_symlink() and not aside.exists():
            return
        disk.remove(aside)
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
            store.point(f"{data_types()[item.type].archive}/{item.name}.json", pointer)


def _take(handle: int, path: Path) -> None:
    """Take a lock; whoever has to wait says for what."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _log.info("waits for another publication", lock=str(path))
        fcntl.flock(handle, fcntl.LOCK_EX)


def _own(plan: Plan, run: Run) -> list[PlanItem]:
    """Return the items of the run that made the plan; their checksums did not exist when it wrote that."""
    return [
        plan_item(product, run.manifest.task, plan.group, plan.date, directory=(run.path / product.path).is_dir())
        for product in run.manifest.products
    ]


def _copy_verified(item: PlanItem, source: Path, part: Path) -> None:
    if item.directory:
        shutil.copytree(source, part, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(source, part)
    disk.sync(part)
    size, found = disk.checksum(part)
    if found != item.sha256:
        disk.remove(part)
        msg = f"{source} has sha256 {found} in {size} bytes, its manifest says {item.sha256}; replay the group"
        raise Damaged(msg)
    disk.seal(part) if item.directory else part.chmod(0o444)
    if item.directory:
        part.chmod(0o755)  # a read-only directory of another owner cannot be renamed


def _same(name: Path, content: Path) -> bool:
    return name.exists() and content.exists() and name.samefile(content)


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
