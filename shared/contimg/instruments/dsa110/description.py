"""What the record of a drift scan says: times, pointing, and the calibrators that cross the meridian."""

from __future__ import annotations

import numpy as np

from contimg.models.instrument import FileSet
from contimg.models.observation import Description
from contimg.models.quality import judge
from contimg.radio import calibrators, coordinates
from contimg.radio.telescopes import Telescope
from contimg.radio.uvh5.read import Header

__all__ = ["description"]


def description(files: FileSet, telescope: Telescope) -> Description:
    """Describe a recording by the header of its first file."""
    head: Header = files.pieces[0].header
    mid = (head.start_jd + head.end_jd) / 2
    ra, _ = coordinates.meridian_icrs(np.array([mid]), head.app_dec_rad, telescope)
    return Description(
        id=files.id,
        start=coordinates.to_ms(head.start_jd),
        end=coordinates.to_ms(head.end_jd),
        integrations=head.integrations,
        integration_s=head.integration_s,
        ra_deg=float(np.degrees(ra[0])),
        dec_deg=head.app_dec_deg,
        calibrators=calibrators.transits_inside(head.start_jd, head.end_jd, head.app_dec_deg, telescope),
        next_transits=calibrators.next_transits(head.end_jd, head.app_dec_deg, telescope),
        figures=(
            judge("ingest.dec", head.app_dec_deg, "deg"),
            judge("ingest.integrations", float(head.integrations)),
        ),
    )
