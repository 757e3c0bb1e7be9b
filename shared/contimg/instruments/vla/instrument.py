"""The VLA for the platform: UVFITS files with several scans, one observation each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from contimg.models.instrument import FileSet, Instrument, Piece
from contimg.models.observation import Description
from contimg.models.pipeline import Pipeline, read_pipelines

if TYPE_CHECKING:
    from contimg.radio.telescopes import Telescope

__all__ = ["INSTRUMENT", "Vla"]

_ENDINGS = {".fits", ".uvfits", ".uvf"}


class Vla(Instrument):
    """A pointed array."""

    name: ClassVar[str] = "vla"
    title: ClassVar[str] = "VLA: pointed scans in UVFITS files"

    @cached_property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """Return ``vla-continuum``."""
        return read_pipelines(f"{__package__}.pipelines")

    def site(self) -> Telescope:
        """Return place and dishes."""
        from contimg.instruments.vla.site import vla  # noqa: PLC0415 - astropy takes a second

        return vla()

    def recognise(self, path: Path, head: bytes) -> bool:
        """Go by the name."""
        del head
        return path.suffix.lower() in _ENDINGS

    def read(self, path: Path) -> Sequence[Piece]:
        """Return the scans of a file."""
        from contimg.instruments.vla.scans import pieces_of  # noqa: PLC0415 - astropy

        return pieces_of(path, self.site())

    def describe(self, files: FileSet) -> Description:
        """Return times, pointing, source and role of a scan."""
        from contimg.instruments.vla.scans import description  # noqa: PLC0415 - astropy

        return description(files, self.site())


INSTRUMENT = Vla()
