"""Checksums of reference data: catalogs and manual flag files enter the recipes by them."""

from __future__ import annotations

from pathlib import Path

from contimg.keeper.records import stamp
from contimg.volume.files import sha256_file
from contimg.volume.layout import Layout

__all__ = ["Reference"]


class Reference:
    """Reference data of one shard; a file is read again only when its size or time changed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[Path, tuple[str, str]] = {}

    def checksums(self) -> dict[str, str]:
        """Return ``catalog:<file>`` and ``flags:<date>`` with their sha256, sorted by name."""
        named = {f"catalog:{path.name}": path for path in _visible(self._layout.catalogs)}
        named |= {f"flags:{path.stem}": path for path in _visible(self._layout.flags) if path.suffix == ".txt"}
        return {name: self._sha256(path) for name, path in sorted(named.items())}

    def _sha256(self, path: Path) -> str:
        now = stamp(path)
        known = self._known.get(path)
        if known is None or known[0] != now:
            known = self._known[path] = (now, sha256_file(path))
        return known[1]


def _visible(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return [path for path in directory.iterdir() if path.is_file() and not path.name.startswith(".")]
