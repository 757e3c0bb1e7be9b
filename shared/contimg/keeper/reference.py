"""Checksums of reference data, which enter recipes by them; the kinds are declared by the installed stages."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from contimg.keeper.records import stamp
from contimg.models.spec import Reference, references
from contimg.volume import disk
from contimg.volume.layout import Layout

__all__ = ["ReferenceData"]


class ReferenceData:
    """Reference data of one shard; a file is read again only when its size or time changed."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._known: dict[Path, tuple[str, str]] = {}

    def checksums(self, dates: Iterable[str]) -> dict[str, str]:
        """Return ``<kind>:<name>`` with sha256, sorted; of kinds that go by date those of these dates."""
        wanted = sorted(set(dates))
        found: dict[str, Path] = {}
        for kind in references().values():
            directory = self._layout.reference(kind.kind)
            names = [f"{date}{kind.suffix}" for date in wanted] if kind.by_date else _visible(directory, kind)
            found |= {f"{kind.kind}:{name.removesuffix(kind.suffix)}": directory / name for name in names}
        return {name: self._sha256(path) for name, path in sorted(found.items()) if path.is_file()}

    def _sha256(self, path: Path) -> str:
        now = stamp(path)
        known = self._known.get(path)
        if known is None or known[0] != now:
            known = self._known[path] = (now, disk.sha256_file(path))
        return known[1]


def _visible(directory: Path, kind: Reference) -> list[str]:
    if not directory.is_dir():
        return []
    return [path.name for path in directory.iterdir() if path.name.endswith(kind.suffix) and path.name[0] != "."]
