"""DSA-110 for the platform: 16 subband files (UVH5) per recording, or one file with the whole band."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from contimg.models.instrument import FileSet, Hint, Instrument, Piece
from contimg.models.observation import Description
from contimg.models.pipeline import Pipeline, read_pipelines
from contimg.models.survey import FileSetRules

if TYPE_CHECKING:
    from contimg.radio.telescopes import Telescope

__all__ = ["INSTRUMENT", "SUBBANDS", "Dsa110"]

SUBBANDS = 16
"""Files of a full set."""
_ENDINGS = {".hdf5", ".h5", ".uvh5"}


class Dsa110(Instrument):
    """The drift-scan array at OVRO."""

    name: ClassVar[str] = "dsa110"
    title: ClassVar[str] = "DSA-110: drift scans as 16 subband files (UVH5)"
    presets: ClassVar[tuple[str, ...]] = ("small-group", "tiny", "full")

    @cached_property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return ``dsa110-continuum``."""
        return read_pipelines(f"{__package__}.pipelines")

    def site(self) -> Telescope:
        """Return place, dishes and stations."""
        from contimg.instruments.dsa110.site import dsa110  # noqa: PLC0415 - astropy takes a second

        return dsa110()

    def recognise(self, path: Path, head: bytes) -> bool:
        """Go by the name; ``*_incomplete*`` is being written, ``*spl*`` belongs to another program."""
        del head
        return path.suffix.lower() in _ENDINGS and "_incomplete" not in path.name and "spl" not in path.name

    def hint(self, path: Path) -> Hint | None:
        """Read subband and wall clock in ``2026-01-25T22:26:05_sb07.hdf5``."""
        from contimg.radio.uvh5.read import name_stamp, subband_of  # noqa: PLC0415 - h5py

        stamp, subband = name_stamp(path.name), subband_of(path.name)
        return None if stamp is None else Hint("all" if subband is None else f"sb{subband:02d}", stamp)

    def read(self, path: Path) -> Sequence[Piece]:
        """Return the one recording of which a file is a part."""
        from contimg.instruments.dsa110.filesets import piece_of  # noqa: PLC0415 - h5py, astropy

        return (piece_of(path, self.site(), SUBBANDS),)

    def gather(self, pieces: Sequence[Piece], rules: FileSetRules) -> Sequence[FileSet]:
        """Put together what starts within half an integration; refuse what contradicts the majority of its set."""
        from contimg.instruments.dsa110.filesets import cluster, file_set  # noqa: PLC0415 - numpy

        expect = rules.expect or SUBBANDS
        return [file_set(each, expect, rules.min or expect) for each in cluster(pieces)]

    def describe(self, files: FileSet) -> Description:
        """Return times, pointing and the calibrators that cross the meridian."""
        from contimg.instruments.dsa110.description import description  # noqa: PLC0415 - astropy

        return description(files, self.site())

    def simulate(self, out: Path, preset: str, config: Path | None = None) -> str:
        """Write subband files with known truth, and ``truth.json`` beside them."""
        from contimg.instruments.dsa110 import simulate  # noqa: PLC0415 - numba takes seconds

        settings = simulate.load_config(config) if config else simulate.preset(preset)
        truth = simulate.simulate_dsa110(out, settings)
        count = len(truth.observations)
        things = "1 observation" if count == 1 else f"{count} observations"
        return f"{things} below {out}; the truth is in {out / 'truth.json'}"


INSTRUMENT = Dsa110()
