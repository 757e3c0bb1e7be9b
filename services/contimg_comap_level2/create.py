"""CheckLevel1FileExists and CreateLevel2File."""

from __future__ import annotations

from contimg.errors import BadInput
from contimg.instruments.comap.modules import CreateArgs, NoArgs
from contimg_comap_level2.work import Module, Work

__all__ = ["CheckLevel1FileExists", "CreateLevel2File"]


class CheckLevel1FileExists(Module[NoArgs]):
    """The file is open by now; this module stands in the list because it always did."""

    def run(self, work: Work) -> None:
        """Check that there is a feed on the sky.

        Raises
        ------
        BadInput
            If there is none.
        """
        if not work.rows:
            feeds = work.level1.feeds.tolist()
            raise BadInput(f"{work.level1.path}: spectrometer/feeds holds {feeds}, no feed on the sky; leave it out")


class CreateLevel2File(Module[CreateArgs]):
    """Copies pointing, housekeeping and attributes, in their units."""

    def run(self, work: Work) -> None:
        """Write the copies."""
        missing = work.out.copy(work.level1, self.args.level1_datasets)
        if missing:
            work.told.append(f"level 1 has no {', '.join(missing)}")
