"""The names of a run's products in the directory tree (architecture.md, P6).

Names only point at runs, and each moves by one rename, so that a reader sees the old product or the new one.
In the homes below ``products/`` files are named by hard link, since they leave for the archive; everything else is
a relative symlink, so that the tree may be mounted elsewhere.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from contimg.errors import Damaged
from contimg.models.manifest import Manifest
from contimg.models.task import Task
from contimg.stage import Run
from contimg.volume import disk
from contimg.volume.commit import read_run
from contimg.volume.layout import Layout

__all__ = ["name_products", "named_run", "names_of"]


def names_of(layout: Layout, manifest: Manifest) -> dict[Path, str]:
    """Return the absolute names of a run with the path inside the run that each points to."""
    return {layout.home(product.type) / name: product.path for product in manifest.products for name in product.names}


def name_products(layout: Layout, run: Run) -> list[Path]:
    """Let all names of a run point at it; repeating it changes nothing.

    A file or directory that stands under the name and is no link of ours is kept beside it as
    ``<name>.before-<n>``: nothing of a person is ever overwritten.
    """
    for product in run.manifest.products:
        content = run.path / product.path
        hard = layout.leaves(product.type) and content.is_file()
        for name in product.names:
            _point(layout.home(product.type) / name, content, run.manifest.task, hard=hard)
    return sorted(names_of(layout, run.manifest))


def _point(target: Path, content: Path, task: str, *, hard: bool) -> None:
    if _points_at(target, content, hard=hard):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.is_symlink() and (target.is_dir() if hard else target.exists()):
        disk.set_aside(target, "before")
    try:
        disk.link(target, content, task, hard=hard)
    except (FileExistsError, FileNotFoundError):
        if not _points_at(target, content, hard=hard):
            raise  # else another worker gave the same name at the same moment, with our temporary link


def _points_at(target: Path, content: Path, *, hard: bool) -> bool:
    if hard:
        return target.exists() and not target.is_symlink() and target.samefile(content)
    return target.is_symlink() and str(target.readlink()) == os.path.relpath(content, target.parent)


def named_run(layout: Layout, task: Task) -> Run | None:
    """Return the run of the same stage and unit that names of its date lead to now; None: there is none.

    Names below ``products/`` are hard links, which lead nowhere.
    """
    home, own = layout.home(task.home), layout.run(task.home, task.task)
    links = [*home.glob(f"{task.date}/*"), *home.glob(f"*/{task.date}/*")]
    targets = {path.resolve().relative_to(own.parent.resolve()).parts[0] for path in links if _leads_to_run(path, own)}
    for one in sorted(targets - {task.task}):
        with contextlib.suppress(Damaged):
            run = read_run(layout, task.home, one)
            if run is not None and (run.manifest.stage, run.manifest.unit) == (task.stage, task.unit):
                return run
    return None


def _leads_to_run(path: Path, run: Path) -> bool:
    return path.is_symlink() and path.resolve().is_relative_to(run.parent.resolve())
