"""The names of a run's products in the directory tree (architecture.md, P6).

Names only point at runs, and each moves by one rename, so that a reader sees the old product or the new one.
In the homes below ``products/`` files are named by hard link, since they leave for the archive; everything else is
a relative symlink, so that the tree may be mounted elsewhere.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from contimg import crash
from contimg.models.manifest import Manifest
from contimg.stage import Run
from contimg.volume.disk import sync_directory
from contimg.volume.layout import DATA_TYPES, Layout

__all__ = ["name_products", "names_of"]

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def names_of(layout: Layout, manifest: Manifest) -> dict[Path, str]:
    """Return the absolute names of a run with the path inside the run that each points to."""
    return {layout.home(product.type) / name: product.path for product in manifest.products for name in product.names}


def name_products(layout: Layout, run: Run) -> list[Path]:
    """Let all names of a run point at it; repeating it changes nothing.

    A file or directory that stands under the name and is no link of ours is kept beside it as
    ``<name>.before-<task>``: nothing of a person is ever overwritten.
    """
    crash.point("names.begun")
    changed = set()
    for product in run.manifest.products:
        hard = DATA_TYPES[product.type].home.startswith("products/")
        for name in product.names:
            target = layout.home(product.type) / name
            if _point(target, run.path / product.path, run.manifest.task, hard=hard):
                changed.add(target.parent)
    for directory in sorted(changed):
        sync_directory(directory)
    crash.point("names.synced")
    return sorted(names_of(layout, run.manifest))


def _point(target: Path, product: Path, task: str, *, hard: bool) -> bool:
    """Let one name point at a product; False if it did so already."""
    hard = hard and product.is_file()
    link = os.path.relpath(product, target.parent)
    temporary = target.with_name(f".{target.name}.{task}")
    _keep_aside(temporary, target, task, hard=hard)  # if we died half-way
    if _points_at(target, product, link, hard=hard):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _replace(target, product, temporary, link, task, hard=hard)
    except (FileExistsError, FileNotFoundError):
        if not _points_at(target, product, link, hard=hard):
            raise  # else another worker gave the same name at the same moment, with our temporary link
    return True


def _replace(target: Path, product: Path, temporary: Path, link: str, task: str, *, hard: bool) -> None:
    temporary.unlink(missing_ok=True)
    if hard:
        temporary.hardlink_to(product)
    else:
        temporary.symlink_to(link)
    crash.point("names.linked")
    if _is_foreign(target, hard=hard):
        _exchange(temporary, target)
        crash.point("names.exchanged")
        _keep_aside(temporary, target, task, hard=hard)
    else:
        temporary.replace(target)
    crash.point("names.replaced")


def _is_foreign(path: Path, *, hard: bool) -> bool:
    """Whether something stands there that no link of ours can be."""
    return not path.is_symlink() and (path.is_dir() if hard else path.exists())


def _keep_aside(temporary: Path, target: Path, task: str, *, hard: bool) -> None:
    if _is_foreign(temporary, hard=hard):
        temporary.rename(target.with_name(f"{target.name}.before-{task}"))


def _points_at(target: Path, product: Path, link: str, *, hard: bool) -> bool:
    if hard:
        return target.exists() and not target.is_symlink() and target.samefile(product)
    return target.is_symlink() and str(target.readlink()) == link


def _exchange(one: Path, other: Path) -> None:
    """Swap two names in one step; the only way to put a link in the place of a directory."""
    done = _LIBC.renameat2(_AT_FDCWD, bytes(one), _AT_FDCWD, bytes(other), _RENAME_EXCHANGE)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(other))
