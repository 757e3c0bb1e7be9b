"""COMAP for the platform: one level-1 file per observation, ids are obsids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from contimg.engine.words import several
from contimg.models.instrument import FileSet, Hint, Instrument, Piece
from contimg.models.observation import Description
from contimg.models.pipeline import Pipeline, read_pipelines

__all__ = ["INSTRUMENT", "Comap"]

_NAME = re.compile(r"comap-(\d{7,})-(\d{4}-\d{2}-\d{2}-\d{6})\.hd5")


class Comap(Instrument):
    """A single dish with 19 feeds."""

    name: ClassVar[str] = "comap"
    title: ClassVar[str] = "COMAP: 19 feeds on one dish, 26-34 GHz, level-1 HDF5 files"
    presets: ClassVar[tuple[str, ...]] = ("tiny", "group", "true", "bench")
    roots_variable: ClassVar[str] = "CONTIMG_COMAP_LEVEL1_ROOTS"

    @cached_property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return ``comap-level2`` and ``comap-galactic``."""
        return read_pipelines(f"{__package__}.pipelines")

    def site(self) -> Any:
        """Return nothing: stages of a single dish find what they need in this package."""
        return None

    def recognise(self, path: Path, head: bytes) -> bool:
        """Go by the name; a file of such a name that is no HDF5 is ours too, and refused."""
        del head
        return _NAME.fullmatch(path.name) is not None

    def hint(self, path: Path) -> Hint | None:
        """Return the time in the name."""
        found = _NAME.fullmatch(path.name)
        if found is None:
            return None
        try:
            return Hint("level1", datetime.strptime(found[2], "%Y-%m-%d-%H%M%S").replace(tzinfo=UTC))
        except ValueError:
            return None

    def read(self, path: Path) -> Sequence[Piece]:
        """Return the one observation of a file."""
        from contimg.instruments.comap.recordings import pieces_of  # noqa: PLC0415 - h5py and astropy

        return pieces_of(path)

    def describe(self, files: FileSet) -> Description:
        """Return times, pointing and source."""
        from contimg.instruments.comap.recordings import description  # noqa: PLC0415 - h5py and astropy

        return description(files)

    def simulate(self, out: Path, preset: str, config: Path | None = None) -> str:
        """Write level-1 files with the truth beside them."""
        from contimg.instruments.comap.simulate.config import load_config  # noqa: PLC0415 - astropy
        from contimg.instruments.comap.simulate.run import simulate_comap  # noqa: PLC0415 - astropy

        paths = simulate_comap(out, load_config(preset, config))
        size = sum(path.stat().st_size for path in paths) / 1e6
        return f"{several(len(paths), 'level-1 file')}, {size:.0f} MB, and truth.json in {out}"


INSTRUMENT = Comap()
